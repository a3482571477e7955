#include "common/data/npy_folder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/npy.h"

namespace distillery {
namespace {

const char* const kLabelTypes[] = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<i8"};
// Labels are read so many at a time.
constexpr int64_t kLabelBlock = 65536;

// A file and what its header says.
struct NpyFile {
  InputFile file;
  NpyHeader header;
};

absl::StatusOr<NpyFile> OpenNpy(const std::string& path, const std::vector<std::string>& wanted) {
  DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  std::string start(static_cast<size_t>(std::min(file.size(), kMaxNpyHeaderBytes)), '\0');
  DISTILLERY_RETURN_IF_ERROR(file.ReadAt(0, static_cast<int64_t>(start.size()), start.data()));
  DISTILLERY_ASSIGN_OR_RETURN(NpyHeader header,
                              ParseNpyHeader(start, file.size(), wanted, file.name()));
  return NpyFile{std::move(file), std::move(header)};
}

absl::StatusOr<ImageShape> ShapeOfImages(const NpyHeader& images, absl::string_view file) {
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

// Appends all labels of the file. INVALID_ARGUMENT for one that is not below `classes`.
absl::Status AppendLabels(const NpyFile& labels, int64_t classes, LabelList* list) {
  const int64_t count = labels.header.shape[0];
  const int64_t element_bytes = labels.header.element_bytes();
  list->reserve(list->size() + static_cast<size_t>(count));
  std::string bytes;
  for (int64_t first = 0; first < count; first += kLabelBlock) {
    bytes.resize(static_cast<size_t>(std::min(kLabelBlock, count - first) * element_bytes));
    DISTILLERY_RETURN_IF_ERROR(labels.file.ReadAt(labels.header.offset + first * element_bytes,
                                                  static_cast<int64_t>(bytes.size()),
                                                  bytes.data()));
    const NpyArray block{labels.header.type, {}, bytes};
    for (int64_t i = first; i < std::min(first + kLabelBlock, count); ++i) {
      const int64_t label = block.Integer(i - first);
      if (label < 0 || label >= classes) {
        return absl::InvalidArgumentError(absl::StrCat(labels.file.name(), ": label ", i, " is ",
                                                       label, ", classes are 0 to ", classes - 1));
      }
      list->push_back(static_cast<int32_t>(label));
    }
  }
  return absl::OkStatus();
}

// Appends one pair of files; returns the stored indexes of what was added. Class names that are
// there already bound the labels.
absl::StatusOr<IndexList> AppendPair(const std::string& folder, const char* split,
                                     StoredSamples* samples) {
  const std::string image_file = absl::StrCat(split, "_images.npy");
  const std::string label_file = absl::StrCat(split, "_labels.npy");
  DISTILLERY_ASSIGN_OR_RETURN(NpyFile images,
                              OpenNpy(absl::StrCat(folder, "/", image_file), {"|u1"}));
  DISTILLERY_ASSIGN_OR_RETURN(const NpyFile labels,
                              OpenNpy(absl::StrCat(folder, "/", label_file),
                                      {std::begin(kLabelTypes), std::end(kLabelTypes)}));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape shape, ShapeOfImages(images.header, image_file));
  if (labels.header.shape.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(label_file, " has the shape [",
                                                   absl::StrJoin(labels.header.shape, ", "),
                                                   "], wanted: [samples]"));
  }
  const int64_t count = images.header.shape[0];
  if (count != labels.header.shape[0]) {
    return absl::DataLossError(absl::StrCat(image_file, " has ", count, " images but ", label_file,
                                            " has ", labels.header.shape[0], " labels"));
  }
  if (samples->size() > 0 && !(shape == samples->shape)) {
    return absl::InvalidArgumentError(absl::StrCat(
        image_file, " has images of [", absl::StrJoin(shape.ToVector(), ", "),
        "], the training images are [", absl::StrJoin(samples->shape.ToVector(), ", "), "]"));
  }
  const int64_t classes = samples->class_names.empty()
                              ? kMaxClasses
                              : static_cast<int64_t>(samples->class_names.size());
  const IndexList indexes = IndexList::Range(samples->size(), count);
  DISTILLERY_RETURN_IF_ERROR(AppendLabels(labels, classes, &samples->labels));
  samples->shape = shape;
  samples->sources.files.push_back(images.file.stamp());
  samples->sources.files.push_back(labels.file.stamp());
  const RecordLayout layout{images.header.offset, shape.size(), shape.size(), count};
  samples->images.push_back(std::make_shared<RecordFile>(std::move(images.file), layout));
  return indexes;
}

}  // namespace

bool HoldsNpy(const std::string& folder) { return NameIsTaken(folder + "/train_images.npy"); }

absl::StatusOr<StoredSamples> ReadNpyFolder(const std::string& name, const std::string& folder) {
  StoredSamples samples;
  samples.name = name;
  samples.sources.folder = folder;
  const std::string names_path = folder + "/classes.txt";
  if (NameIsTaken(names_path)) {
    DISTILLERY_ASSIGN_OR_RETURN(samples.class_names, ReadClassNames(names_path));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(samples.class_names), "classes.txt"));
  }
  for (const auto& [split, members] :
       {std::pair{"train", &samples.train}, std::pair{"test", &samples.test}}) {
    absl::StatusOr<IndexList> added = AppendPair(folder, split, &samples);
    if (!added.ok()) return Annotate(added.status(), name);
    *members = *std::move(added);
  }
  if (samples.class_names.empty()) {
    samples.class_names =
        NumberedClassNames(*std::max_element(samples.labels.begin(), samples.labels.end()) + 1);
  }
  samples.left_out = LeftOutBeside(folder, {"train_images.npy", "train_labels.npy",
                                            "test_images.npy", "test_labels.npy", "classes.txt"});
  return samples;
}

}  // namespace distillery
