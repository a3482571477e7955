#include "common/data/npy_folder.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/npy.h"

namespace distillery {
namespace {

constexpr int64_t kMaxFileBytes = kMaxStoredBytes + (1 << 20);
const char* const kLabelTypes[] = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<i8"};

absl::StatusOr<ImageShape> ShapeOfImages(const NpyArray& images, absl::string_view file) {
  const std::vector<int64_t>& sizes = images.shape;
  if (sizes.size() == 3) return ImageShape{1, sizes[1], sizes[2]};
  if (sizes.size() == 4 && (sizes[1] == 1 || sizes[1] == 3)) {
    return ImageShape{sizes[1], sizes[2], sizes[3]};
  }
  const bool channels_last = sizes.size() == 4 && (sizes[3] == 1 || sizes[3] == 3);
  return absl::InvalidArgumentError(absl::StrCat(
      file, " has the shape [", absl::StrJoin(sizes, ", "),
      "], wanted: [samples, height, width] or [samples, channels, height, width] with 1 or 3 "
      "channels",
      channels_last ? "; save numpy.ascontiguousarray(array.transpose(0, 3, 1, 2))" : ""));
}

// Appends one pair of files; returns the stored indexes of what was added. Class names that are
// there already bound the labels.
absl::StatusOr<std::vector<int64_t>> AppendPair(const std::string& folder, const char* split,
                                                StoredSamples* samples) {
  const std::string image_file = absl::StrCat(split, "_images.npy");
  const std::string label_file = absl::StrCat(split, "_labels.npy");
  DISTILLERY_ASSIGN_OR_RETURN(const std::string image_bytes,
                              ReadFile(absl::StrCat(folder, "/", image_file), kMaxFileBytes));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string label_bytes,
                              ReadFile(absl::StrCat(folder, "/", label_file), kMaxFileBytes));
  DISTILLERY_ASSIGN_OR_RETURN(const NpyArray images, ParseNpy(image_bytes, {"|u1"}, image_file));
  DISTILLERY_ASSIGN_OR_RETURN(
      const NpyArray labels,
      ParseNpy(label_bytes, {std::begin(kLabelTypes), std::end(kLabelTypes)}, label_file));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape shape, ShapeOfImages(images, image_file));
  if (labels.shape.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        label_file, " has the shape [", absl::StrJoin(labels.shape, ", "), "], wanted: [samples]"));
  }
  if (images.shape[0] != labels.shape[0]) {
    return absl::DataLossError(absl::StrCat(image_file, " has ", images.shape[0], " images but ",
                                            label_file, " has ", labels.shape[0], " labels"));
  }
  if (samples->size() > 0 && !(shape == samples->shape)) {
    return absl::InvalidArgumentError(absl::StrCat(
        image_file, " has images of [", absl::StrJoin(shape.ToVector(), ", "),
        "], the training images are [", absl::StrJoin(samples->shape.ToVector(), ", "), "]"));
  }
  const int64_t classes = samples->class_names.empty()
                              ? kMaxClasses
                              : static_cast<int64_t>(samples->class_names.size());
  std::vector<int64_t> indexes(static_cast<size_t>(labels.shape[0]));
  std::iota(indexes.begin(), indexes.end(), samples->size());
  for (int64_t i = 0; i < labels.shape[0]; ++i) {
    const int64_t label = labels.Integer(i);
    if (label < 0 || label >= classes) {
      return absl::InvalidArgumentError(absl::StrCat(label_file, ": label ", i, " is ", label,
                                                     ", classes are 0 to ", classes - 1));
    }
    samples->labels.push_back(static_cast<int32_t>(label));
  }
  samples->shape = shape;
  samples->pixels.insert(samples->pixels.end(), images.elements.begin(), images.elements.end());
  return indexes;
}

}  // namespace

bool HoldsNpy(const std::string& folder) { return FileExists(folder + "/train_images.npy"); }

absl::StatusOr<StoredSamples> ReadNpyFolder(const std::string& name, const std::string& folder) {
  StoredSamples samples;
  samples.name = name;
  const std::string names_path = folder + "/classes.txt";
  if (FileExists(names_path)) {
    DISTILLERY_ASSIGN_OR_RETURN(samples.class_names, ReadClassNames(names_path));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(samples.class_names), "classes.txt"));
  }
  for (const auto& [split, members] :
       {std::pair{"train", &samples.train}, std::pair{"test", &samples.test}}) {
    absl::StatusOr<std::vector<int64_t>> added = AppendPair(folder, split, &samples);
    if (!added.ok()) return Annotate(added.status(), name);
    *members = *std::move(added);
  }
  if (samples.class_names.empty()) {
    samples.class_names =
        NumberedClassNames(*std::max_element(samples.labels.begin(), samples.labels.end()) + 1);
  }
  return samples;
}

}  // namespace distillery
