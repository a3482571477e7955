#include "coordinator/state_folder.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr char kAbout[] =
    "State of a Distillery coordinator. Ask it with: sqlite3 -readonly record.sqlite3\n"
    "weights/RUN/NNNNNNNN.safetensors: the weights after NNNNNNNN rounds; spool/RUN: results of\n"
    "the present round. Stop the coordinator before you copy or move the folder.\n";

}  // namespace

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<FolderLock> lock, FolderLock::Acquire(path));
  std::error_code ignored;
  std::filesystem::remove_all(path + "/incoming", ignored);
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(path + "/incoming"));
  if (!FileExists(path + "/README.txt")) {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(path + "/README.txt", kAbout));
  }
  return std::unique_ptr<StateFolder>(new StateFolder(path, std::move(lock)));
}

std::string StateFolder::Weights(const std::string& run_id, int64_t round) const {
  return absl::StrFormat("%s/weights/%s/%08d.safetensors", path_, run_id, round);
}

std::string StateFolder::Momentum(const std::string& run_id, int64_t round) const {
  return absl::StrFormat("%s/weights/%s/%08d.momentum.safetensors", path_, run_id, round);
}

std::string StateFolder::SpoolName(const Lease& lease) const {
  return absl::StrFormat("spool/%s/%08d-%04d-%d.safetensors", lease.task.run_id, lease.task.round,
                         lease.task.replica, lease.fencing_token);
}

std::string StateFolder::Incoming() const {
  return absl::StrCat(path_, "/incoming/", RandomHex(16));
}

absl::Status StateFolder::MakeRunFolders(const std::string& run_id) const {
  for (const char* const part : {"weights", "spool"}) {
    DISTILLERY_RETURN_IF_ERROR(MakeFolders(absl::StrCat(path_, "/", part, "/", run_id)));
    DISTILLERY_RETURN_IF_ERROR(SyncFolder(absl::StrCat(path_, "/", part)));
  }
  return SyncFolder(path_);
}

void StateFolder::RemoveWeightsBefore(const std::string& run_id, int64_t first,
                                      const std::set<int64_t>& keep) const {
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(absl::StrCat(path_, "/weights/", run_id), ignored)) {
    const std::string name = entry.path().filename().string();
    int64_t round = 0;
    if (absl::SimpleAtoi(name.substr(0, name.find('.')), &round) && round < first &&
        keep.count(round) == 0) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
}

void StateFolder::RemoveSpoolExcept(const std::string& run_id,
                                    const std::set<std::string>& keep) const {
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(absl::StrCat(path_, "/spool/", run_id), ignored)) {
    const std::string relative =
        absl::StrCat("spool/", run_id, "/", entry.path().filename().string());
    if (keep.count(relative) == 0) std::filesystem::remove(entry.path(), ignored);
  }
}

}  // namespace distillery
