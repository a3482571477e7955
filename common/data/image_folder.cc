#include "common/data/image_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/input_file.h"
#include "common/base/json_fields.h"
#include "common/base/on_all_cores.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/bad_files.h"
#include "common/data/class_files.h"
#include "common/data/data_options.h"
#include "common/data/image_file.h"
#include "common/data/image_resize.h"
#include "common/data/kept_pictures.h"

namespace distillery {
namespace {

// Images that are decoded before they are stored: at most so many, of at most so many pixel values.
constexpr size_t kBlockImages = 64;
constexpr int64_t kBlockBytes = int64_t{128} << 20;
// Files whose headers are looked at in one go.
constexpr size_t kBlockHeaders = 1024;

struct ImageEntry {
  std::string path;
  int32_t label = 0;
  // In the file.
  ImageShape shape;
};

std::string Describe(const ImageShape& shape) {
  return absl::StrCat(shape.height, " x ", shape.width);
}

class ImageFolderReader {
 public:
  ImageFolderReader(const std::string& name, const std::string& folder)
      : folder_(folder), bad_(folder, "image") {
    samples_.name = name;
  }

  absl::StatusOr<StoredSamples> Read() {
    DISTILLERY_RETURN_IF_ERROR(ReadOptions());
    DISTILLERY_ASSIGN_OR_RETURN(ClassFiles found,
                                FindClassFiles(folder_, kImageFiles, options_.test_fraction));
    samples_.class_names = std::move(found.class_names);
    std::vector<ImageEntry> train = EntriesOf(std::move(found.train));
    std::vector<ImageEntry> test = EntriesOf(std::move(found.test));
    const size_t files = train.size() + test.size();
    const std::optional<KeptPictures> kept =
        files >= kLeastKeptPictures ? FindKept(train, test) : std::nullopt;
    if (kept.has_value() && TakeKept(kept->Load(), train, test)) {
      samples_.left_out = std::move(found.left_out);
      return std::move(samples_);
    }
    DISTILLERY_RETURN_IF_ERROR(LookAtHeaders(&train));
    DISTILLERY_RETURN_IF_ERROR(LookAtHeaders(&test));
    DISTILLERY_RETURN_IF_ERROR(CheckShapes(train, test));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(train, &samples_.train));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(test, &samples_.test));
    if (!options_.skip_corrupt) DISTILLERY_RETURN_IF_ERROR(bad_.Check(files));
    DISTILLERY_RETURN_IF_ERROR(CheckClassesOfTrain());
    samples_.left_out = bad_.LeftOutFiles();
    std::move(found.left_out.begin(), found.left_out.end(), std::back_inserter(samples_.left_out));
    // What a damaged file was left out for is not kept.
    if (kept.has_value() && bad_.empty()) {
      (void)TakeKept(kept->Store(samples_.shape(), samples_.records), train, test);
    }
    return std::move(samples_);
  }

 private:
  absl::Status ReadOptions() {
    const absl::StatusOr<std::string> text = ReadOptionsText(folder_);
    if (!text.ok()) return WithoutFolder(text.status(), folder_, kOptionsFile);
    DISTILLERY_ASSIGN_OR_RETURN(options_, ParseImageFolderOptions(*text));
    options_text_ = *text;
    return absl::OkStatus();
  }

  // Where the pictures of these files are kept; nowhere if one of them cannot be looked at.
  std::optional<KeptPictures> FindKept(const std::vector<ImageEntry>& train,
                                       const std::vector<ImageEntry>& test) const {
    std::string key = absl::StrCat("options ", options_text_.size(), " ", options_text_, "\n");
    for (const auto* const split : {&train, &test}) {
      std::vector<std::string> lines(split->size());
      OnAllCores(split->size(), [&](size_t i) {
        const ImageEntry& entry = (*split)[i];
        struct stat file {};
        if (stat(absl::StrCat(folder_, "/", entry.path).c_str(), &file) != 0) return;
        lines[i] =
            absl::StrCat(entry.path.size(), " ", entry.path, " ", entry.label, " ", file.st_size,
                         " ", file.st_mtim.tv_sec, ".", file.st_mtim.tv_nsec, "\n");
      });
      absl::StrAppend(&key, "split of ", split->size(), "\n");
      for (const std::string& line : lines) {
        if (line.empty()) return std::nullopt;
        key += line;
      }
    }
    return std::optional<KeptPictures>(std::in_place, folder_, key);
  }

  // Makes the samples of what was kept of these files, if it is all of them.
  bool TakeKept(std::optional<KeptPictures::Content> content, const std::vector<ImageEntry>& train,
                const std::vector<ImageEntry>& test) {
    const auto count = static_cast<int64_t>(train.size() + test.size());
    if (!content.has_value() || content->records->count() != count) return false;
    samples_.spec = SampleSpec::Pictures(content->shape, 255);
    samples_.records = std::vector<uint8_t>();  // gives the memory back
    samples_.labels = {};
    for (const auto* const split : {&train, &test}) {
      for (const ImageEntry& entry : *split) samples_.labels.push_back(entry.label);
    }
    samples_.train = IndexList::Range(0, static_cast<int64_t>(train.size()));
    samples_.test = IndexList::Range(samples_.train.size(), static_cast<int64_t>(test.size()));
    samples_.files = {std::move(content->records)};
    samples_.sources = {folder_, {std::move(content->stamp)}};
    return true;
  }

  static std::vector<ImageEntry> EntriesOf(std::vector<ClassFile> files) {
    std::vector<ImageEntry> entries;
    entries.reserve(files.size());
    for (ClassFile& file : files) entries.push_back({std::move(file.path), file.label, {}});
    return entries;
  }

  // Sets the shapes of all entries, and drops those that have none.
  absl::Status LookAtHeaders(std::vector<ImageEntry>* entries) {
    std::vector<ImageEntry> good;
    for (size_t first = 0; first < entries->size(); first += kBlockHeaders) {
      const size_t count = std::min(kBlockHeaders, entries->size() - first);
      std::vector<absl::StatusOr<ImageShape>> shapes(count, absl::CancelledError(""));
      OnAllCores(count, [&](size_t i) { shapes[i] = LookAt((*entries)[first + i].path); });
      for (size_t i = 0; i < count; ++i) {
        ImageEntry& entry = (*entries)[first + i];
        if (shapes[i].ok()) {
          entry.shape = *shapes[i];
          good.push_back(std::move(entry));
        } else {
          DISTILLERY_RETURN_IF_ERROR(bad_.Take(shapes[i].status(), entry.path));
        }
      }
    }
    *entries = std::move(good);
    return absl::OkStatus();
  }

  // Safe for all threads, as ReadImage: both read only what is fixed by then.
  absl::StatusOr<ImageShape> LookAt(const std::string& path) const {
    DISTILLERY_ASSIGN_OR_RETURN(const InputFile file,
                                InputFile::Open(absl::StrCat(folder_, "/", path)));
    const std::string name = PlainText(path);
    if (file.size() > kMaxImageFileBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(name, " has ", file.size(), " bytes, the limit is ", kMaxImageFileBytes));
    }
    std::string start;
    absl::StatusOr<ImageShape> shape = absl::CancelledError("");
    for (const int64_t bytes : {std::min(file.size(), kImageStartBytes), file.size()}) {
      start.resize(static_cast<size_t>(bytes));
      DISTILLERY_RETURN_IF_ERROR(file.ReadAt(0, bytes, start.data()));
      shape = ReadImageShape(start, options_.channels, name);
      // The bytes may have been too few.
      if (shape.ok() || bytes == file.size()) break;
    }
    return shape;
  }

  absl::StatusOr<Image> ReadImage(const std::string& path) const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(absl::StrCat(folder_, "/", path), kMaxImageFileBytes));
    return DecodeSample(bytes, options_, PlainText(path));
  }

  // Takes the shape of the first image for that of all, and compares the others.
  absl::Status CheckShapes(const std::vector<ImageEntry>& train,
                           const std::vector<ImageEntry>& test) {
    planned_ = train.size() + test.size();
    if (train.empty()) return absl::OkStatus();  // bad_ or CheckClassesOfTrain says why
    const ImageEntry& first = train.front();
    samples_.spec = SampleSpec::Pictures(StoredShape(first.shape), 255);
    const auto planned = static_cast<int64_t>(planned_);
    if (planned > kMaxStoredBytes / samples_.shape().size()) {
      return absl::ResourceExhaustedError(
          absl::StrCat(planned, " images of [", absl::StrJoin(samples_.shape().ToVector(), ", "),
                       "] are more than ", kMaxStoredBytes,
                       " bytes; say a smaller \"height\" and \"width\" in dataset.json"));
    }
    int64_t other_sizes = 0;
    int64_t in_colour = 0;
    std::string size_example;
    std::string colour_example;
    for (const auto* const split : {&train, &test}) {
      for (const ImageEntry& entry : *split) {
        const ImageShape shape = StoredShape(entry.shape);
        if (shape.height != samples_.shape().height || shape.width != samples_.shape().width) {
          if (++other_sizes == 1) {
            size_example = absl::StrCat(PlainText(entry.path), " is ", Describe(shape));
          }
        } else if (shape.channels > samples_.shape().channels && ++in_colour == 1) {
          colour_example = absl::StrCat(PlainText(entry.path), " is in colour");
        }
      }
    }
    const auto others = [](int64_t count) {
      return count == 1 ? "" : absl::StrCat(" (", count - 1, " more are not as the first)");
    };
    const std::string first_path = PlainText(first.path);
    if (other_sizes > 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(size_example, ", the first image ", first_path, " is ",
                       Describe(samples_.shape()), others(other_sizes),
                       "; to resize all, say {\"height\": H, \"width\": W} in dataset.json"));
    }
    if (in_colour > 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          colour_example, ", the first image ", first_path, " is grey", others(in_colour),
          "; say {\"channels\": 1} or {\"channels\": 3} in dataset.json"));
    }
    return absl::OkStatus();
  }

  // The shape of the sample that an image of this shape becomes.
  ImageShape StoredShape(const ImageShape& shape) const {
    if (options_.height == 0) return shape;
    return {shape.channels, options_.height, options_.width};
  }

  absl::Status ReadSplit(const std::vector<ImageEntry>& entries, IndexList* members) {
    if (bad_.empty() || options_.skip_corrupt) {
      samples_.records.reserve(planned_ * static_cast<size_t>(samples_.shape().size()));
    }
    for (size_t first = 0; first < entries.size();) {
      size_t count = 0;
      for (int64_t bytes = 0; first + count < entries.size() && count < kBlockImages; ++count) {
        bytes += entries[first + count].shape.size();
        if (count > 0 && bytes > kBlockBytes) break;
      }
      std::vector<absl::StatusOr<Image>> images(count, absl::CancelledError(""));
      OnAllCores(count, [&](size_t i) { images[i] = ReadImage(entries[first + i].path); });
      for (size_t i = 0; i < count; ++i) {
        const ImageEntry& entry = entries[first + i];
        if (images[i].ok()) {
          DISTILLERY_RETURN_IF_ERROR(Store(entry, *std::move(images[i]), members));
        } else {
          DISTILLERY_RETURN_IF_ERROR(bad_.Take(images[i].status(), entry.path));
        }
      }
      first += count;
    }
    return absl::OkStatus();
  }

  absl::Status Store(const ImageEntry& entry, Image image, IndexList* members) {
    // With a bad file that is not to be skipped the rest is only looked at.
    if (!bad_.empty() && !options_.skip_corrupt) return absl::OkStatus();
    if (!(image.shape == StoredShape(entry.shape))) {
      return absl::UnavailableError(
          absl::StrCat(PlainText(entry.path), " changed while the data set was read"));
    }
    const Image fitting = WithChannels(std::move(image), samples_.shape().channels);
    members->push_back(samples_.size());
    samples_.labels.push_back(entry.label);
    samples_.records.insert(samples_.records.end(), fitting.pixels.begin(), fitting.pixels.end());
    return absl::OkStatus();
  }

  // Images that were left out may have been all that a class had.
  absl::Status CheckClassesOfTrain() const {
    const std::vector<std::string> without = ClassesWithoutTraining(samples_);
    if (without.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("class ", without.front(), " of train has damaged images only"));
  }

  const std::string folder_;
  ImageFolderOptions options_;
  std::string options_text_;
  // Images that are to be stored, of both splits.
  size_t planned_ = 0;
  BadFiles bad_;
  StoredSamples samples_;
};

}  // namespace

absl::StatusOr<ImageFolderOptions> ParseImageFolderOptions(const std::string& text) {
  static const JsonNames<AlphaRule> kRules = {
      {AlphaRule::kBlack, "black"}, {AlphaRule::kWhite, "white"}, {AlphaRule::kDrop, "drop"}};
  static const JsonNames<bool> kResizes = {{false, "squash"}, {true, "crop"}};
  const absl::StatusOr<Json> json = ParseJsonObject(text, /*most_depth=*/1);
  if (!json.ok()) return Annotate(json.status(), "dataset.json");
  ImageFolderOptions options;
  absl::Status status;
  JsonReader reader(*json, "", &status);
  for (const auto& [key, field] :
       {std::pair{"channels", &options.channels}, std::pair{"height", &options.height},
        std::pair{"width", &options.width}}) {
    reader.Optional(key, *field);
    if (reader.FindOptional(key) != nullptr && *field < 1) {
      reader.Fail(key, "must be a whole number from 1 up");
    }
  }
  reader.Optional("skip_corrupt", options.skip_corrupt);
  ReadTestFraction(reader, options.test_fraction);
  if (reader.FindOptional("alpha") != nullptr) reader.OneOf("alpha", options.alpha, kRules);
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    reader.Fail("channels", absl::StrCat("must be 1 (grey) or 3 (colour), got ", options.channels));
  }
  if ((options.height == 0) != (options.width == 0))
    reader.Fail("height", "and width come together");
  if (reader.FindOptional("resize") != nullptr) {
    if (options.height == 0) reader.Fail("resize", "needs \"height\" and \"width\" too");
    reader.OneOf("resize", options.crop, kResizes);
  }
  reader.Finish();
  if (status.ok() && options.height != 0) {
    status = CheckImageSize(options.height, options.width, "the size wanted");
    if (!status.ok()) status = absl::InvalidArgumentError(status.message());
  }
  if (!status.ok()) return Annotate(status, "dataset.json");
  return options;
}

absl::StatusOr<Image> DecodeSample(absl::string_view bytes, const ImageFolderOptions& options,
                                   const std::string& name) {
  DISTILLERY_ASSIGN_OR_RETURN(Image image,
                              DecodeImage(bytes, options.channels, name, options.alpha));
  if (options.height == 0) return image;
  return options.crop ? ResizeAndCrop(image, options.height, options.width)
                      : Resize(image, options.height, options.width);
}

absl::StatusOr<StoredSamples> ReadImageFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<StoredSamples> samples = ImageFolderReader(name, folder).Read();
  if (!samples.ok()) return Annotate(samples.status(), name);
  return samples;
}

}  // namespace distillery
