#include "common/data/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/base/files.h"
#include "common/base/input_file.h"
#include "common/base/json_fields.h"
#include "common/base/names.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/task_pool.h"
#include "common/base/text.h"
#include "common/base/text_file.h"
#include "common/data/class_names.h"
#include "common/data/image_file.h"
#include "common/data/image_resize.h"
#include "common/data/tar_folder.h"

namespace distillery {
namespace {

constexpr int64_t kMaxOptionsBytes = 65536;
// Images that are decoded before they are stored: at most so many, of at most so many pixel values.
constexpr size_t kBlockImages = 64;
constexpr int64_t kBlockBytes = int64_t{128} << 20;
// Files whose headers are looked at in one go.
constexpr size_t kBlockHeaders = 1024;
// Files that a message names: it travels in a status, which has its limits.
constexpr size_t kMostNamed = 8;

// A file of a class that is called as images are.
struct ImageEntry {
  // "train/CLASS/FILE"
  std::string path;
  int32_t label = 0;
  // In the file.
  ImageShape shape;
};

std::string Describe(const ImageShape& shape) {
  return absl::StrCat(shape.height, " x ", shape.width);
}

// Whether the fault lies in the file, not in the system.
bool IsFaultOfFile(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
         absl::IsResourceExhausted(status) || absl::IsFailedPrecondition(status);
}

// The same with the file's name in the data set in place of its path, printable whatever the name
// is, and no reason to look for it elsewhere.
absl::Status WithoutFolder(const absl::Status& status, const std::string& folder,
                           const std::string& path) {
  const std::string name = PlainText(path);
  std::string text =
      absl::StrReplaceAll(status.message(), {{absl::StrCat(folder, "/", path), name}});
  if (!absl::StrContains(text, name)) text = absl::StrCat(name, ": ", text);
  const bool gone = absl::IsNotFound(status);
  return {gone ? absl::StatusCode::kDataLoss : status.code(), PlainText(text)};
}

// Runs work(0) to work(count - 1) on all cores.
void OnAllCores(size_t count, const std::function<void(size_t)>& work) {
  TaskPool cores(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  for (size_t i = 0; i < count; ++i) cores.Add([&work, i] { work(i); });
}

class ImageFolderReader {
 public:
  ImageFolderReader(const std::string& name, const std::string& folder)
      : folder_(folder), left_out_(folder) {
    samples_.name = name;
  }

  absl::StatusOr<StoredSamples> Read() {
    DISTILLERY_RETURN_IF_ERROR(ReadOptions());
    DISTILLERY_ASSIGN_OR_RETURN(const FolderNames train_names, ListFolder(folder_ + "/train"));
    samples_.class_names = train_names.folders;
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(samples_.class_names), "folder train"));
    DISTILLERY_ASSIGN_OR_RETURN(std::vector<ImageEntry> train, ListSplit("train"));
    DISTILLERY_ASSIGN_OR_RETURN(std::vector<ImageEntry> test, ListSplit("test"));
    const size_t files = train.size() + test.size();
    DISTILLERY_RETURN_IF_ERROR(LookAtHeaders(&train));
    DISTILLERY_RETURN_IF_ERROR(LookAtHeaders(&test));
    DISTILLERY_RETURN_IF_ERROR(CheckShapes(train, test));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(train, &samples_.train));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(test, &samples_.test));
    DISTILLERY_RETURN_IF_ERROR(CheckBadFiles(files));
    DISTILLERY_RETURN_IF_ERROR(CheckClassesOfTrain());
    AddFilesBesideSplits();
    for (const auto& [path, fault] : bad_) {
      samples_.left_out.push_back({std::string(fault.message())});
    }
    for (LeftOut& other : std::move(left_out_).Finish()) {
      samples_.left_out.push_back(std::move(other));
    }
    return std::move(samples_);
  }

 private:
  absl::Status ReadOptions() {
    const std::string path = folder_ + "/dataset.json";
    if (!NameIsTaken(path)) return absl::OkStatus();
    const absl::StatusOr<std::string> text = ReadTextFile(path, kMaxOptionsBytes);
    if (!text.ok()) return WithoutFolder(text.status(), folder_, "dataset.json");
    DISTILLERY_ASSIGN_OR_RETURN(options_, ParseImageFolderOptions(*text));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ImageEntry>> ListSplit(const std::string& split) {
    const std::string path = absl::StrCat(folder_, "/", split);
    std::error_code ignored;
    if (!std::filesystem::is_directory(path, ignored)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "there is no folder ", split, "; it must hold a folder of images for each class"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const FolderNames names, ListFolder(path));
    for (const std::string& file : names.files) left_out_.AddFile(absl::StrCat(split, "/", file));
    std::vector<ImageEntry> entries;
    for (const std::string& name : names.folders) {
      const auto& known = samples_.class_names;
      const auto found = std::lower_bound(known.begin(), known.end(), name);
      if (found == known.end() || *found != name) {
        return absl::InvalidArgumentError(absl::StrCat("folder ", split, "/", PlainText(name), ": ",
                                                       UnknownName("class", name, known)));
      }
      DISTILLERY_RETURN_IF_ERROR(ListClass(absl::StrCat(split, "/", name),
                                           static_cast<int32_t>(found - known.begin()), &entries));
    }
    return entries;
  }

  absl::Status ListClass(const std::string& folder, int32_t label,
                         std::vector<ImageEntry>* entries) {
    DISTILLERY_ASSIGN_OR_RETURN(const FolderNames names,
                                ListFolder(absl::StrCat(folder_, "/", folder)));
    const size_t before = entries->size();
    for (const std::string& file : names.files) {
      std::string path = absl::StrCat(folder, "/", file);
      if (HasImageExtension(file)) {
        entries->push_back({std::move(path), label, {}});
      } else {
        left_out_.AddFile(path);
      }
    }
    for (const std::string& name : names.folders) {
      left_out_.AddFolder(absl::StrCat(folder, "/", name),
                          ": classes have no folders of their own");
    }
    if (entries->size() > before) return absl::OkStatus();
    const std::vector<LeftOut> others = LeftOutBeside(absl::StrCat(folder_, "/", folder), {});
    return absl::InvalidArgumentError(
        absl::StrCat("folder ", folder, " holds no images (", kImageEndings, ")",
                     others.empty() ? "" : ", but ", others.empty() ? "" : JoinLeftOut(others)));
  }

  void AddFilesBesideSplits() {
    const absl::StatusOr<FolderNames> names = ListFolder(folder_);
    if (!names.ok()) return;
    for (const std::string& file : names->files) {
      if (file != "dataset.json") left_out_.AddFile(file);
    }
    for (const std::string& name : names->folders) {
      if (name == "train" || name == "test") continue;
      const bool validation = absl::StartsWith(name, "val") || name == "dev";
      left_out_.AddFolder(name, validation ? ": the split validation is drawn from train" : "");
    }
  }

  // Notes a file that is no image that can be read; returns what is wrong with the system.
  absl::Status TakeFault(const absl::Status& status, const std::string& path) {
    absl::Status fault = WithoutFolder(status, folder_, path);
    if (!IsFaultOfFile(fault)) return fault;
    bad_.emplace(path, fault);
    return absl::OkStatus();
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
          DISTILLERY_RETURN_IF_ERROR(TakeFault(shapes[i].status(), entry.path));
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
      if (!absl::IsDataLoss(shape.status())) break;
    }
    return shape;
  }

  absl::StatusOr<Image> ReadImage(const std::string& path) const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(absl::StrCat(folder_, "/", path), kMaxImageFileBytes));
    DISTILLERY_ASSIGN_OR_RETURN(
        Image image, DecodeImage(bytes, options_.channels, PlainText(path), options_.alpha));
    if (options_.height == 0) return image;
    return Resize(image, options_.height, options_.width);
  }

  // Takes the shape of the first image for that of all, and compares the others.
  absl::Status CheckShapes(const std::vector<ImageEntry>& train,
                           const std::vector<ImageEntry>& test) {
    planned_ = train.size() + test.size();
    if (train.empty()) return absl::OkStatus();  // CheckBadFiles or CheckClassesOfTrain says why
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
          DISTILLERY_RETURN_IF_ERROR(TakeFault(images[i].status(), entry.path));
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

  // One message about all files that are no image that can be read.
  absl::Status CheckBadFiles(size_t files) const {
    if (bad_.empty() || options_.skip_corrupt) return absl::OkStatus();
    std::vector<absl::string_view> texts;
    for (const auto& [path, fault] : bad_) {
      if (texts.size() < kMostNamed) texts.push_back(fault.message());
    }
    std::string text;
    if (bad_.size() > 1) {
      text = absl::StrCat(bad_.size(), " of ", files, " image files cannot be taken: ");
    }
    absl::StrAppend(&text, absl::StrJoin(texts, "; "));
    if (texts.size() < bad_.size()) {
      absl::StrAppend(&text, "; and ", bad_.size() - texts.size(), " more");
    }
    return {bad_.begin()->second.code(),
            absl::StrCat(text, "; mend or remove ", bad_.size() == 1 ? "it" : "them",
                         ", or say \"skip_corrupt\": true in dataset.json")};
  }

  // Images that were left out may have been all that a class had.
  absl::Status CheckClassesOfTrain() const {
    const std::vector<std::string> without = ClassesWithoutTraining(samples_);
    if (without.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("folder train/", without.front(), " holds damaged images only"));
  }

  const std::string folder_;
  ImageFolderOptions options_;
  // Images that are to be stored, of both splits.
  size_t planned_ = 0;
  // What is wrong with files that are no image that can be read, by their paths.
  std::map<std::string, absl::Status> bad_;
  LeftOutFiles left_out_;
  StoredSamples samples_;
};

}  // namespace

absl::StatusOr<ImageFolderOptions> ParseImageFolderOptions(const std::string& text) {
  static const JsonNames<AlphaRule> kRules = {
      {AlphaRule::kBlack, "black"}, {AlphaRule::kWhite, "white"}, {AlphaRule::kDrop, "drop"}};
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
  if (reader.FindOptional("alpha") != nullptr) reader.OneOf("alpha", options.alpha, kRules);
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    reader.Fail("channels", absl::StrCat("must be 1 (grey) or 3 (colour), got ", options.channels));
  }
  if ((options.height == 0) != (options.width == 0))
    reader.Fail("height", "and width come together");
  reader.Finish();
  if (status.ok() && options.height != 0) {
    status = CheckImageSize(options.height, options.width, "the size wanted");
    if (!status.ok()) status = absl::InvalidArgumentError(status.message());
  }
  if (!status.ok()) return Annotate(status, "dataset.json");
  return options;
}

bool HoldsImageFolder(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::is_directory(folder + "/train", ignored) && !HoldsTar(folder);
}

absl::StatusOr<StoredSamples> ReadImageFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<StoredSamples> samples = ImageFolderReader(name, folder).Read();
  if (!samples.ok()) return Annotate(samples.status(), name);
  return samples;
}

}  // namespace distillery
