#include "common/data/catalog.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/cifar.h"
#include "common/data/digits.h"
#include "common/data/idx.h"
#include "common/data/image_folder.h"
#include "common/data/npy_folder.h"

namespace distillery {
namespace {

// One kind of folder that a data set can be. Tried in the order of kFormats.
struct Format {
  bool (*holds)(const std::string& folder);
  absl::StatusOr<StoredSamples> (*read)(const std::string& name, const std::string& folder);
};

constexpr Format kFormats[] = {{HoldsIdx, ReadIdxFolder},
                               {HoldsCifar10, ReadCifar10Folder},
                               {HoldsCifar100, ReadCifar100Folder},
                               {HoldsNpy, ReadNpyFolder},
                               {HoldsImageFolder, ReadImageFolder}};
constexpr const char* kFormatNames =
    "MNIST's IDX files, CIFAR-10, CIFAR-100, NPY files, images by class in train and test";

// The format of the folder, or nullptr.
const Format* FindFormat(const std::string& folder) {
  for (const Format& format : kFormats) {
    if (format.holds(folder)) return &format;
  }
  return nullptr;
}

// Sorted names of the data sets that `data_dir` holds.
std::vector<std::string> NamesIn(const std::string& data_dir) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(data_dir, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (FindFormat(entry->path().string()) != nullptr) {
      names.push_back(entry->path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What to do about a name that no data set has, in brackets, or "".
std::string Hint(const std::string& name, const std::string& data_dir) {
  if (data_dir.empty()) return " (no --data-dir is set)";
  if (FileExists(absl::StrCat(data_dir, "/", name))) {
    return absl::StrCat(" (its folder holds none of: ", kFormatNames, ")");
  }
  if (!HoldsIdx(data_dir) && FindFormat(data_dir) != nullptr) {
    return " (--data-dir is the folder of a data set itself; give the one above it)";
  }
  return "";
}

absl::Status Unknown(const std::string& name, const std::string& data_dir) {
  std::vector<std::string> known = {"digits"};
  if (!data_dir.empty()) {
    if (HoldsIdx(data_dir)) known.push_back("mnist");
    for (std::string& found : NamesIn(data_dir)) known.push_back(std::move(found));
  }
  return absl::NotFoundError(
      absl::StrCat(UnknownName("data set", name, known), Hint(name, data_dir)));
}

absl::StatusOr<StoredSamples> ReadSamples(const std::string& name, const std::string& data_dir) {
  if (name == "digits") return ReadBuiltInDigits();
  if (data_dir.empty()) return Unknown(name, data_dir);
  const std::string folder = absl::StrCat(data_dir, "/", name);
  if (const Format* const format = FindFormat(folder)) return format->read(name, folder);
  if (name == "mnist" && HoldsIdx(data_dir)) return ReadIdxFolder(name, data_dir);
  return Unknown(name, data_dir);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> DatasetCatalog::Open(
    const DatasetReference& reference) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  MutexLock lock(mutex_);
  const auto found = open_.find(reference.ToString());
  if (found != open_.end()) return found->second;
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const StoredSamples> samples,
                              Samples(reference.name));
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const Dataset> dataset,
                              Dataset::Create(std::move(samples), reference));
  if (open_.size() >= kMaxOpen) open_.erase(open_.begin());
  open_[reference.ToString()] = dataset;
  return dataset;
}

absl::StatusOr<std::shared_ptr<const StoredSamples>> DatasetCatalog::Samples(
    const std::string& name) {
  const auto found = samples_.find(name);
  if (found != samples_.end()) return found->second;
  DISTILLERY_ASSIGN_OR_RETURN(StoredSamples read, ReadSamples(name, data_dir_));
  DISTILLERY_RETURN_IF_ERROR(CheckSamples(read));
  auto samples = std::make_shared<const StoredSamples>(std::move(read));
  samples_[name] = samples;
  return samples;
}

}  // namespace distillery
