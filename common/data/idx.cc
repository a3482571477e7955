#include "common/data/idx.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/regular_file.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/base/text_file.h"
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

// Where the four files lie.
struct IdxPlace {
  // With a slash at its end, and what all names begin with.
  std::string start;
  // '-' or '.'.
  char between = '-';
  // "t10k" or "test".
  std::string test;

  std::string Images(absl::string_view split) const {
    return absl::StrCat(start, split, "-images", absl::string_view(&between, 1), "idx3-ubyte");
  }
  std::string Labels(absl::string_view split) const {
    return absl::StrCat(start, split, "-labels", absl::string_view(&between, 1), "idx1-ubyte");
  }
  std::string folder() const { return FolderOf(start + "x"); }
};

bool IsThere(const std::string& path) { return NameIsTaken(path) || NameIsTaken(path + ".gz"); }

// Those whose training images lie in the folder itself.
std::vector<IdxPlace> PlacesIn(const std::string& folder) {
  std::vector<IdxPlace> places;
  const absl::StatusOr<FolderNames> names = ListFolder(folder);
  if (!names.ok()) return places;
  for (const char between : {'-', '.'}) {
    const std::string end =
        absl::StrCat("train-images", absl::string_view(&between, 1), "idx3-ubyte");
    std::set<std::string> starts;
    for (absl::string_view name : names->files) {
      (void)absl::ConsumeSuffix(&name, ".gz");
      if (absl::ConsumeSuffix(&name, end)) starts.insert(std::string(name));
    }
    for (const std::string& start : starts) {
      IdxPlace place{absl::StrCat(folder, "/", start), between, "t10k"};
      if (!IsThere(place.Images("t10k")) && IsThere(place.Images("test"))) place.test = "test";
      places.push_back(std::move(place));
    }
  }
  return places;
}

std::vector<IdxPlace> FindPlaces(const std::string& folder) {
  for (const char* const within :
       {"", "/raw", "/MNIST/raw", "/FashionMNIST/raw", "/KMNIST/raw", "/EMNIST/raw"}) {
    std::vector<IdxPlace> places = PlacesIn(absl::StrCat(folder, within));
    if (!places.empty()) return places;
  }
  return {};
}

// EMNIST's "LABEL CODE CODE...", a line for each class: the names of the classes by their labels.
// Codes are those of ASCII; of letters that look alike both are there.
absl::StatusOr<std::map<int64_t, std::string>> ReadMapping(const std::string& path) {
  constexpr int64_t kMaxMappingBytes = 65536;
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxMappingBytes));
  std::map<int64_t, std::string> names;
  int line = 0;
  for (const absl::string_view row : absl::StrSplit(text, '\n')) {
    ++line;
    const std::vector<absl::string_view> fields =
        absl::StrSplit(row, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (fields.empty()) continue;
    const auto wrong = [&] {
      return absl::DataLossError(absl::StrCat(BaseName(path), ":", line,
                                              ": must be a label and codes of ASCII, as 1 65 97"));
    };
    int64_t label = 0;
    if (fields.size() < 2 || !absl::SimpleAtoi(fields[0], &label) || label < 0 || label > 255) {
      return wrong();
    }
    std::string name;
    for (size_t i = 1; i < fields.size(); ++i) {
      int code = 0;
      if (!absl::SimpleAtoi(fields[i], &code) || code <= ' ' || code > '~') return wrong();
      name += static_cast<char>(code);
    }
    if (!names.emplace(label, name).second) return wrong();
  }
  return names;
}

// Numbers classes from 0 up in the order of the mapping.
absl::Status NameByMapping(const std::string& path, StoredSamples* samples) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto names, ReadMapping(path));
  std::map<int32_t, int32_t> classes;
  for (const auto& [label, name] : names) {
    classes.emplace(static_cast<int32_t>(label), static_cast<int32_t>(classes.size()));
    samples->class_names.push_back(name);
  }
  LabelList labels;
  labels.reserve(samples->labels.size());
  for (const int32_t label : samples->labels) {
    const auto found = classes.find(label);
    if (found == classes.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a sample has the label ", label, ", which ", BaseName(path), " has not"));
    }
    labels.push_back(found->second);
  }
  samples->labels = std::move(labels);
  return absl::OkStatus();
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
absl::StatusOr<IndexList> AppendPair(const IdxPlace& place, absl::string_view split, bool on_demand,
                                     StoredSamples* samples) {
  const std::string image_path = place.Images(split);
  const std::string label_path = place.Labels(split);
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

bool HoldsIdxFiles(const std::string& folder) {
  return IsThere(IdxPlace{folder + "/", '-', "t10k"}.Images("train"));
}

bool HoldsIdx(const std::string& folder) { return !FindPlaces(folder).empty(); }

absl::StatusOr<StoredSamples> ReadIdxFolder(const std::string& name, const std::string& folder) {
  const std::vector<IdxPlace> places = FindPlaces(folder);
  if (places.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": there are ", BaseName(places[0].Images("train")), " and ",
        BaseName(places[1].Images("train")), "; give each set of four files a folder of its own"));
  }
  // A message about what is missing names the file as MNIST has it.
  const IdxPlace place = places.empty() ? IdxPlace{folder + "/", '-', "t10k"} : places.front();
  StoredSamples samples;
  samples.name = name;
  samples.sources.folder = folder;
  const bool on_demand =
      NameIsTaken(place.Images("train")) && NameIsTaken(place.Images(place.test));
  DISTILLERY_ASSIGN_OR_RETURN(samples.train, AppendPair(place, "train", on_demand, &samples));
  DISTILLERY_ASSIGN_OR_RETURN(samples.test, AppendPair(place, place.test, on_demand, &samples));
  std::set<std::string> read;
  for (const std::string& split : {std::string("train"), place.test}) {
    for (const std::string& path : {place.Images(split), place.Labels(split)}) {
      read.insert(BaseName(NameIsTaken(path) ? path : path + ".gz"));
    }
  }
  const std::string mapping = place.start + "mapping.txt";
  if (NameIsTaken(mapping)) {
    // Labels depend on it too. It is looked at before it is read, as the label files are.
    DISTILLERY_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(mapping));
    samples.sources.files.push_back(file.stamp());
    DISTILLERY_RETURN_IF_ERROR(Annotate(NameByMapping(mapping, &samples), name));
    read.insert(BaseName(mapping));
  } else {
    samples.class_names =
        NumberedClassNames(*std::max_element(samples.labels.begin(), samples.labels.end()) + 1);
  }
  samples.left_out = LeftOutBeside(place.folder(), read, /*with_folders=*/false);
  return samples;
}

}  // namespace distillery
