#include "common/data/idx.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/regular_file.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/data/class_names.h"
#include "common/data/file_kind.h"
#include "common/data/gzip.h"
#include "common/data/record_file.h"

namespace distillery {
namespace {

// The limit for files that are held in memory.
constexpr int64_t kMaxIdxBytes = kMaxStoredBytes + (1 << 20);
// Far beyond any file, and far from overflow.
constexpr int64_t kMaxElements = int64_t{1} << 60;
constexpr int kImageDimensions = 3;

int64_t HeaderBytes(int dimensions) { return 4 + 4 * dimensions; }

uint32_t BigEndian32(absl::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = (value << 8) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// The first four bytes are 0, 0, a type and the number of dimensions.
constexpr uint32_t kUnsignedBytes = 0x0800;

std::string Wanted(int dimensions) {
  return absl::StrCat("an IDX file of unsigned bytes with ", dimensions, " dimension(s)");
}

// What a file is that is none of unsigned bytes with so many dimensions. REQUIRES: 4 bytes.
absl::Status WrongMagic(absl::string_view start, int dimensions, absl::string_view name) {
  static const auto* const types = new std::map<int, const char*>{
      {0x08, "unsigned bytes"}, {0x09, "signed bytes"}, {0x0B, "int16"},
      {0x0C, "int32"},          {0x0D, "float32"},      {0x0E, "float64"}};
  const auto type_of = [](unsigned char type) {
    const auto found = types->find(type);
    return found == types->end() ? "" : found->second;
  };
  const auto wrong = [&](absl::string_view what) {
    return absl::DataLossError(absl::StrCat(name, " is ", what, ", wanted: ", Wanted(dimensions)));
  };
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(start[i]); };
  if (byte(0) == 0 && byte(1) == 0 && *type_of(byte(2)) != '\0') {
    return wrong(
        absl::StrCat("an IDX file of ", type_of(byte(2)), " with ", int{byte(3)}, " dimension(s)"));
  }
  if (byte(2) == 0 && byte(3) == 0 && *type_of(byte(1)) != '\0') {
    return wrong("an IDX file whose header is little-endian");
  }
  if (IsGzip(start)) {
    return absl::DataLossError(absl::StrCat(name, " is gzip-compressed data: add .gz to its name"));
  }
  const absl::string_view kind = FileKind(start);
  return absl::DataLossError(
      absl::StrCat(name, " is not ", Wanted(dimensions), kind.empty() ? "" : ", but ", kind));
}

// The sizes of a header whose product is no overflow.
absl::StatusOr<std::vector<int64_t>> ParseSizes(absl::string_view start, int dimensions,
                                                absl::string_view name) {
  const int64_t header = HeaderBytes(dimensions);
  if (static_cast<int64_t>(start.size()) < header) {
    return absl::DataLossError(absl::StrCat(name, " is not ", Wanted(dimensions)));
  }
  if (BigEndian32(start, 0) != kUnsignedBytes + static_cast<uint32_t>(dimensions)) {
    return WrongMagic(start, dimensions, name);
  }
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(dimensions));
  for (int i = 0; i < dimensions; ++i) sizes.push_back(BigEndian32(start, 4 + 4 * i));
  const absl::StatusOr<int64_t> count = CheckedElementCount(sizes, kMaxElements);
  if (!count.ok()) {
    return absl::DataLossError(absl::StrCat(name, ": ", count.status().message()));
  }
  return sizes;
}

std::string ImagePath(const std::string& folder, absl::string_view prefix) {
  return absl::StrCat(folder, "/", prefix, "-images-idx3-ubyte");
}

std::string LabelPath(const std::string& folder, absl::string_view prefix) {
  return absl::StrCat(folder, "/", prefix, "-labels-idx1-ubyte");
}

// Adds the images of a plain file to `samples`, to be read on demand; returns the file's sizes.
absl::StatusOr<std::vector<int64_t>> AddImages(const std::string& path, StoredSamples* samples) {
  DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  const int64_t header = HeaderBytes(kImageDimensions);
  std::string start(static_cast<size_t>(std::min(header, file.size())), '\0');
  DISTILLERY_RETURN_IF_ERROR(file.ReadAt(0, static_cast<int64_t>(start.size()), start.data()));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseIdxHeader(start, file.size(), kImageDimensions, path));
  const int64_t image_bytes = sizes[1] * sizes[2];
  samples->sources.files.push_back(file.stamp());
  samples->files.push_back(std::make_shared<RecordFile>(
      std::move(file), RecordLayout{header, image_bytes, image_bytes, sizes[0]}));
  return sizes;
}

// The bytes of a file of images that is plain or compressed, if with `held` bytes that are in
// memory already they are not too many: known from the header, before all is decompressed.
absl::StatusOr<std::string> ReadBoundedImages(const std::string& path, int64_t held) {
  const std::string packed_path = path + ".gz";
  if (NameIsTaken(path) || !NameIsTaken(packed_path)) return ReadPlainOrGzip(path, kMaxIdxBytes);
  DISTILLERY_ASSIGN_OR_RETURN(const std::string packed, ReadFile(packed_path, kMaxIdxBytes));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string start,
                              GunzipStart(packed, HeaderBytes(kImageDimensions), packed_path));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseSizes(start, kImageDimensions, packed_path));
  if (sizes[0] * sizes[1] * sizes[2] > kMaxStoredBytes - held) {
    return absl::ResourceExhaustedError(absl::StrCat(
        packed_path, " holds ", sizes[0], " images of ", sizes[1], " x ", sizes[2],
        ", more than the ", kMaxStoredBytes,
        " bytes that are held in memory: decompress it (gunzip), plain files are read on demand"));
  }
  return GunzipBytes(packed, kMaxIdxBytes, packed_path);
}

// Appends the images of a file that is plain or compressed to those in memory.
absl::StatusOr<std::vector<int64_t>> HoldImages(const std::string& path, StoredSamples* samples) {
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::string file,
      ReadBoundedImages(path, static_cast<int64_t>(samples->records.size())));
  absl::string_view pixels;
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<int64_t> sizes,
                              ParseIdx(file, kImageDimensions, path, &pixels));
  samples->records.insert(samples->records.end(), pixels.begin(), pixels.end());
  return sizes;
}

// Appends one pair of image and label files; returns the stored indexes of what was added.
absl::StatusOr<IndexList> AppendPair(const std::string& folder, absl::string_view prefix,
                                     bool on_demand, StoredSamples* samples) {
  const std::string image_path = ImagePath(folder, prefix);
  const std::string label_path = LabelPath(folder, prefix);
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<int64_t> sizes,
      on_demand ? AddImages(image_path, samples) : HoldImages(image_path, samples));
  if (on_demand) {
    // Looked at before it is read: what changes in between is seen the next time.
    const bool plain = NameIsTaken(label_path);
    const absl::StatusOr<InputFile> labels =
        InputFile::Open(plain ? label_path : absl::StrCat(label_path, ".gz"));
    if (labels.ok()) samples->sources.files.push_back(labels->stamp());
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::string label_file,
                              ReadPlainOrGzip(label_path, kMaxIdxBytes));
  absl::string_view labels;
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> label_sizes,
                              ParseIdx(label_file, 1, label_path, &labels));
  if (sizes[0] != label_sizes[0]) {
    return absl::DataLossError(absl::StrCat(image_path, " has ", sizes[0], " images but ",
                                            label_path, " has ", label_sizes[0], " labels"));
  }
  const ImageShape shape{1, sizes[1], sizes[2]};
  if (samples->size() > 0 && !(shape == samples->shape())) {
    return absl::DataLossError(absl::StrCat(
        image_path, " has images of ", shape.height, " x ", shape.width,
        ", the training images are ", samples->shape().height, " x ", samples->shape().width));
  }
  samples->spec = SampleSpec::Pictures(shape, 255);
  const IndexList indexes = IndexList::Range(samples->size(), sizes[0]);
  samples->labels.reserve(samples->labels.size() + labels.size());
  for (const char label : labels) samples->labels.push_back(static_cast<unsigned char>(label));
  return indexes;
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ParseIdx(absl::string_view bytes, int dimensions,
                                              absl::string_view name, absl::string_view* elements) {
  DISTILLERY_ASSIGN_OR_RETURN(
      std::vector<int64_t> sizes,
      ParseIdxHeader(bytes, static_cast<int64_t>(bytes.size()), dimensions, name));
  *elements = bytes.substr(static_cast<size_t>(HeaderBytes(dimensions)));
  return sizes;
}

absl::StatusOr<std::vector<int64_t>> ParseIdxHeader(absl::string_view start, int64_t file_bytes,
                                                    int dimensions, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<int64_t> sizes, ParseSizes(start, dimensions, name));
  const int64_t header = HeaderBytes(dimensions);
  const int64_t count =
      std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
  if (file_bytes - header != count) {
    return absl::DataLossError(absl::StrCat(name, " has ", file_bytes - header,
                                            " bytes of elements, its header says ", count));
  }
  return sizes;
}

bool HoldsIdx(const std::string& folder) {
  const std::string path = ImagePath(folder, "train");
  return NameIsTaken(path) || NameIsTaken(path + ".gz");
}

absl::StatusOr<StoredSamples> ReadIdxFolder(const std::string& name, const std::string& folder) {
  StoredSamples samples;
  samples.name = name;
  samples.sources.folder = folder;
  const bool on_demand =
      NameIsTaken(ImagePath(folder, "train")) && NameIsTaken(ImagePath(folder, "t10k"));
  DISTILLERY_ASSIGN_OR_RETURN(samples.train, AppendPair(folder, "train", on_demand, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test, AppendPair(folder, "t10k", on_demand, &samples));
  samples.class_names =
      NumberedClassNames(*std::max_element(samples.labels.begin(), samples.labels.end()) + 1);
  std::set<std::string> read;
  for (const char* const prefix : {"train", "t10k"}) {
    for (const std::string& path : {ImagePath(folder, prefix), LabelPath(folder, prefix)}) {
      read.insert(BaseName(NameIsTaken(path) ? path : path + ".gz"));
    }
  }
  samples.left_out = LeftOutBeside(folder, read, /*with_folders=*/false);
  return samples;
}

}  // namespace distillery
