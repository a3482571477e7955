#include "common/data/idx.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/gzip.h"

namespace distillery {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{4} << 30;

uint32_t BigEndian32(absl::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = (value << 8) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// Appends one pair of image and label files; returns the stored indexes of what was added.
absl::StatusOr<std::vector<int64_t>> AppendPair(const std::string& folder, absl::string_view prefix,
                                                StoredSamples* samples) {
  const std::string image_path = absl::StrCat(folder, "/", prefix, "-images-idx3-ubyte");
  const std::string label_path = absl::StrCat(folder, "/", prefix, "-labels-idx1-ubyte");
  DISTILLERY_ASSIGN_OR_RETURN(const std::string image_file,
                              ReadPlainOrGzip(image_path, kMaxFileBytes));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string label_file,
                              ReadPlainOrGzip(label_path, kMaxFileBytes));
  absl::string_view pixels;
  absl::string_view labels;
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseIdx(image_file, 3, image_path, &pixels));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> label_sizes,
                              ParseIdx(label_file, 1, label_path, &labels));
  if (sizes[0] != label_sizes[0]) {
    return absl::DataLossError(absl::StrCat(image_path, " has ", sizes[0], " images but ",
                                            label_path, " has ", label_sizes[0], " labels"));
  }
  const ImageShape shape{1, sizes[1], sizes[2]};
  if (samples->size() > 0 && !(shape == samples->shape)) {
    return absl::DataLossError(absl::StrCat(image_path, " has images of ", shape.height, " x ",
                                            shape.width, ", the training images are ",
                                            samples->shape.height, " x ", samples->shape.width));
  }
  samples->shape = shape;
  std::vector<int64_t> indexes(sizes[0]);
  std::iota(indexes.begin(), indexes.end(), samples->size());
  samples->pixels.insert(samples->pixels.end(), pixels.begin(), pixels.end());
  for (const char label : labels) samples->labels.push_back(static_cast<unsigned char>(label));
  return indexes;
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ParseIdx(absl::string_view bytes, int dimensions,
                                              absl::string_view name,
                                              absl::string_view* elements) {
  const size_t header = 4 + 4 * static_cast<size_t>(dimensions);
  const uint32_t magic = 0x0800U + static_cast<uint32_t>(dimensions);
  if (bytes.size() < header || BigEndian32(bytes, 0) != magic) {
    return absl::DataLossError(absl::StrCat(
        name, " is not an IDX file of unsigned bytes with ", dimensions, " dimension(s)"));
  }
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(dimensions));
  for (int i = 0; i < dimensions; ++i) sizes.push_back(BigEndian32(bytes, 4 + 4 * i));
  const absl::StatusOr<int64_t> count = CheckedElementCount(sizes, kMaxFileBytes);
  if (!count.ok()) {
    return absl::DataLossError(absl::StrCat(name, ": ", count.status().message()));
  }
  if (bytes.size() - header != static_cast<size_t>(*count)) {
    return absl::DataLossError(absl::StrCat(name, " has ", bytes.size() - header,
                                            " bytes of elements, its header says ", *count));
  }
  *elements = bytes.substr(header);
  return sizes;
}

bool HoldsIdx(const std::string& folder) {
  const std::string path = folder + "/train-images-idx3-ubyte";
  return FileExists(path) || FileExists(path + ".gz");
}

absl::StatusOr<StoredSamples> ReadIdxFolder(const std::string& name, const std::string& folder) {
  StoredSamples samples;
  samples.name = name;
  DISTILLERY_ASSIGN_OR_RETURN(samples.train, AppendPair(folder, "train", &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test, AppendPair(folder, "t10k", &samples));
  samples.class_names =
      NumberedClassNames(*std::max_element(samples.labels.begin(), samples.labels.end()) + 1);
  return samples;
}

}  // namespace distillery
