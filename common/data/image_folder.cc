#include "common/data/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/task_pool.h"
#include "common/data/class_names.h"
#include "common/data/image_file.h"
#include "common/data/image_resize.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr int64_t kMaxOptionsBytes = 65536;
// Images that are decoded before they are stored; bounds the memory beside the samples.
constexpr size_t kBlockImages = 64;
constexpr const char* kImageKinds = ".png, .jpg, .jpeg, .pgm or .ppm";

// One image of a class.
struct ImageEntry {
  // "train/CLASS/FILE"
  std::string path;
  int32_t label = 0;
};

enum class Kind { kFolders, kImages };

// Sorted names of the folders or of the image files in `path`.
absl::StatusOr<std::vector<std::string>> List(const std::string& path, Kind kind) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    std::string name = entry->path().filename().string();
    if (name[0] == '.' || entry->is_directory(ignored) != (kind == Kind::kFolders)) continue;
    if (kind == Kind::kFolders || HasImageExtension(name)) names.push_back(std::move(name));
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot list ", path));
  std::sort(names.begin(), names.end());
  return names;
}

std::string Describe(const ImageShape& shape) {
  return absl::StrCat(shape.height, " x ", shape.width);
}

class ImageFolderReader {
 public:
  ImageFolderReader(const std::string& name, const std::string& folder) : folder_(folder) {
    samples_.name = name;
  }

  absl::StatusOr<StoredSamples> Read() {
    DISTILLERY_RETURN_IF_ERROR(ReadOptions());
    DISTILLERY_ASSIGN_OR_RETURN(samples_.class_names, List(folder_ + "/train", Kind::kFolders));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(samples_.class_names), "folder train"));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<ImageEntry> train, ListSplit("train"));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<ImageEntry> test, ListSplit("test"));
    planned_ = static_cast<int64_t>(train.size() + test.size());
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(train, &samples_.train));
    DISTILLERY_RETURN_IF_ERROR(CheckClassesOfTrain());
    DISTILLERY_RETURN_IF_ERROR(ReadSplit(test, &samples_.test));
    return std::move(samples_);
  }

 private:
  absl::Status ReadOptions() {
    const std::string path = folder_ + "/dataset.json";
    if (!FileExists(path)) return absl::OkStatus();
    DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxOptionsBytes));
    DISTILLERY_ASSIGN_OR_RETURN(options_, ParseImageFolderOptions(text));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<ImageEntry>> ListSplit(const std::string& split) {
    const std::string path = absl::StrCat(folder_, "/", split);
    if (!FileExists(path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "there is no folder ", split, "; it must hold a folder of images for each class"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> classes, List(path, Kind::kFolders));
    std::vector<ImageEntry> entries;
    for (const std::string& name : classes) {
      const auto& known = samples_.class_names;
      const auto found = std::lower_bound(known.begin(), known.end(), name);
      if (found == known.end() || *found != name) {
        return absl::InvalidArgumentError(
            absl::StrCat("folder ", split, "/", name, ": ", UnknownName("class", name, known)));
      }
      const std::string folder = absl::StrCat(split, "/", name);
      DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> files,
                                  List(absl::StrCat(folder_, "/", folder), Kind::kImages));
      if (files.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("folder ", folder, " holds no images (", kImageKinds, ")"));
      }
      for (const std::string& file : files) {
        entries.push_back(
            {absl::StrCat(folder, "/", file), static_cast<int32_t>(found - known.begin())});
      }
    }
    return entries;
  }

  absl::Status ReadSplit(const std::vector<ImageEntry>& entries, IndexList* members) {
    for (size_t first = 0; first < entries.size(); first += kBlockImages) {
      const size_t count = std::min(kBlockImages, entries.size() - first);
      std::vector<absl::StatusOr<Image>> images(count, absl::CancelledError(""));
      {
        TaskPool cores(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
        for (size_t i = 0; i < count; ++i) {
          cores.Add([&, i] { images[i] = ReadImage(entries[first + i].path); });
        }
      }  // waits for all of them
      for (size_t i = 0; i < count; ++i) {
        DISTILLERY_RETURN_IF_ERROR(Store(entries[first + i], std::move(images[i]), members));
      }
    }
    return absl::OkStatus();
  }

  // Safe for all threads: reads only what is fixed by then.
  absl::StatusOr<Image> ReadImage(const std::string& path) const {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes,
                                ReadFile(absl::StrCat(folder_, "/", path), kMaxImageFileBytes));
    DISTILLERY_ASSIGN_OR_RETURN(Image image, DecodeImage(bytes, options_.channels, path));
    if (options_.height == 0) return image;
    return Resize(image, options_.height, options_.width);
  }

  absl::Status Store(const ImageEntry& entry, absl::StatusOr<Image> image,
                     IndexList* members) {
    if (absl::IsDataLoss(image.status())) {
      if (options_.skip_corrupt) {
        spdlog::warn("data set {}: left out: {}", samples_.name,
                     std::string(image.status().message()));
        return absl::OkStatus();
      }
      return absl::DataLossError(
          absl::StrCat(image.status().message(),
                       "; mend or remove it, or say \"skip_corrupt\": true in dataset.json"));
    }
    if (!image.ok()) return image.status();
    DISTILLERY_RETURN_IF_ERROR(CheckShape(entry, image->shape));
    const Image fitting = WithChannels(*std::move(image), samples_.shape.channels);
    members->push_back(samples_.size());
    samples_.labels.push_back(entry.label);
    samples_.pixels.insert(samples_.pixels.end(), fitting.pixels.begin(), fitting.pixels.end());
    return absl::OkStatus();
  }

  // Takes the shape of the first image for that of all.
  absl::Status CheckShape(const ImageEntry& entry, const ImageShape& shape) {
    if (samples_.size() == 0) {
      samples_.shape = shape;
      first_path_ = entry.path;
      if (planned_ > kMaxStoredBytes / shape.size()) {
        return absl::ResourceExhaustedError(absl::StrCat(
            planned_, " images of [", absl::StrJoin(shape.ToVector(), ", "), "] are more than ",
            kMaxStoredBytes, " bytes; say a smaller \"height\" and \"width\" in dataset.json"));
      }
      samples_.pixels.reserve(static_cast<size_t>(planned_ * shape.size()));
      return absl::OkStatus();
    }
    const ImageShape& first = samples_.shape;
    if (shape.height != first.height || shape.width != first.width) {
      return absl::InvalidArgumentError(absl::StrCat(
          entry.path, " is ", Describe(shape), ", the first image ", first_path_, " is ",
          Describe(first), "; to resize all, say {\"height\": H, \"width\": W} in dataset.json"));
    }
    if (shape.channels > first.channels) {
      return absl::InvalidArgumentError(
          absl::StrCat(entry.path, " is in colour, the first image ", first_path_,
                       " is grey; say {\"channels\": 1} or {\"channels\": 3} in dataset.json"));
    }
    return absl::OkStatus();
  }

  // Damaged images that were left out may have been all that a class had.
  absl::Status CheckClassesOfTrain() const {
    std::vector<bool> seen(samples_.class_names.size());
    for (const int32_t label : samples_.labels) seen[label] = true;
    const auto missing = std::find(seen.begin(), seen.end(), false);
    if (missing == seen.end()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("folder train/",
                                                   samples_.class_names[missing - seen.begin()],
                                                   " holds damaged images only"));
  }

  const std::string folder_;
  ImageFolderOptions options_;
  // Images listed for both splits.
  int64_t planned_ = 0;
  std::string first_path_;
  StoredSamples samples_;
};

}  // namespace

absl::StatusOr<ImageFolderOptions> ParseImageFolderOptions(const std::string& text) {
  static const std::vector<std::string> kKeys = {"channels", "height", "width", "skip_corrupt"};
  const auto wrong = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("dataset.json: ", what));
  };
  const auto shallow = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= 1;
  };
  const nlohmann::json json = nlohmann::json::parse(text, shallow, /*allow_exceptions=*/false);
  if (!json.is_object()) return wrong("is not a JSON object");
  for (const auto& [key, value] : json.items()) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      return wrong(UnknownName("key", key, kKeys));
    }
  }
  ImageFolderOptions options;
  for (const auto& [key, field] :
       {std::pair{"channels", &options.channels}, std::pair{"height", &options.height},
        std::pair{"width", &options.width}}) {
    if (!json.contains(key)) continue;
    const nlohmann::json& value = json[key];
    *field = value.is_number_integer() ? value.get<int64_t>() : -1;
    if (*field < 1) return wrong(absl::StrCat(key, " must be a whole number from 1 up"));
  }
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    return wrong(absl::StrCat("channels must be 1 (grey) or 3 (colour), got ", options.channels));
  }
  if ((options.height == 0) != (options.width == 0)) {
    return wrong("height and width come together");
  }
  if (options.height != 0) {
    const absl::Status size = CheckImageSize(options.height, options.width, "the size wanted");
    if (!size.ok()) return wrong(size.message());
  }
  if (json.contains("skip_corrupt")) {
    if (!json["skip_corrupt"].is_boolean()) return wrong("skip_corrupt must be true or false");
    options.skip_corrupt = json["skip_corrupt"].get<bool>();
  }
  return options;
}

bool HoldsImageFolder(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::is_directory(folder + "/train", ignored);
}

absl::StatusOr<StoredSamples> ReadImageFolder(const std::string& name, const std::string& folder) {
  absl::StatusOr<StoredSamples> samples = ImageFolderReader(name, folder).Read();
  if (!samples.ok()) return Annotate(samples.status(), name);
  return samples;
}

}  // namespace distillery
