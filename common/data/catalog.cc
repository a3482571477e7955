#include "common/data/catalog.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/digits.h"
#include "common/data/idx.h"

namespace distillery {
namespace {

bool HoldsIdx(const std::string& folder) {
  const std::string path = folder + "/train-images-idx3-ubyte";
  return FileExists(path) || FileExists(path + ".gz");
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
  absl::StatusOr<StoredSamples> read = absl::NotFoundError("");
  if (name == "digits") {
    read = ReadBuiltInDigits();
  } else if (!data_dir_.empty() && HoldsIdx(absl::StrCat(data_dir_, "/", name))) {
    read = ReadIdxFolder(name, absl::StrCat(data_dir_, "/", name));
  } else if (!data_dir_.empty() && name == "mnist" && HoldsIdx(data_dir_)) {
    read = ReadIdxFolder(name, data_dir_);
  } else {
    std::vector<std::string> known = {"digits"};
    std::error_code ignored;
    if (!data_dir_.empty()) {
      for (const auto& entry : std::filesystem::directory_iterator(data_dir_, ignored)) {
        if (HoldsIdx(entry.path().string())) known.push_back(entry.path().filename().string());
      }
    }
    return absl::NotFoundError(
        absl::StrCat(UnknownName("data set", name, known),
                     data_dir_.empty() ? " (no --data-dir is set)" : ""));
  }
  if (!read.ok()) return read.status();
  auto samples = std::make_shared<const StoredSamples>(*std::move(read));
  samples_[name] = samples;
  return samples;
}

}  // namespace distillery
