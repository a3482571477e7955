#include "coordinator/state/state_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/disk_errors.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/sync_to_disk.h"
#include "coordinator/state/each_file.h"

namespace distillery {
namespace {

// Where each run has a folder.
constexpr const char* kRunParts[] = {"/weights", "/spool"};

constexpr char kAbout[] =
    "State of a Distillery coordinator. Ask it with: sqlite3 -readonly record.sqlite3\n"
    "weights/RUN/NNNNNNNN.safetensors: the weights after NNNNNNNN rounds; spool/RUN: results of\n"
    "the present round. Stop the coordinator before you copy or move the folder.\n";

}  // namespace

absl::StatusOr<std::unique_ptr<StateFolder>> StateFolder::Open(const std::string& path) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(path, Readers::kOwner));
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<FolderLock> lock, FolderLock::Acquire(path));
  std::error_code ignored;
  // The folder stays: where the disk is full no other can be made.
  std::vector<std::filesystem::path> left;
  const auto note = [&](const std::filesystem::path& file) { left.push_back(file); };
  if (!ForEachIn(path + "/incoming", note).ok()) left = {path + "/incoming"};
  for (const std::filesystem::path& file : left) std::filesystem::remove_all(file, ignored);
  for (const char* const part : {"/incoming", "/uploads", "/weights", "/spool"}) {
    DISTILLERY_RETURN_IF_ERROR(MakeFolders(path + part, Readers::kOwner));
    MakePrivate(path + part);
  }
  if (!FileExists(path + "/README.txt")) {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(path + "/README.txt", kAbout, Readers::kOwner));
  }
  for (const char* const name :
       {"/README.txt", "/lock", "/record.sqlite3", "/record.sqlite3-wal", "/record.sqlite3-shm"}) {
    MakePrivate(path + name);
  }
  return std::unique_ptr<StateFolder>(new StateFolder(path, std::move(lock)));
}

absl::Status StateFolder::OpenRecordLog() {
  // A descriptor of our own: SQLite's locks are on other files, so that closing it releases none.
  const std::string path = RecordPath() + "-wal";
  log_ = Descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!log_.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  return SyncFolder(path_);
}

absl::Status StateFolder::SyncRecordLog() const {
  if (SyncToDisk(log_.get(), SyncedPart::kData) == 0) return absl::OkStatus();
  return SyncErrnoStatus(errno, absl::StrCat("cannot sync ", RecordPath(), "-wal"));
}

std::string StateFolder::Weights(const std::string& run_id, int64_t round) const {
  return absl::StrFormat("%s/weights/%s/%08d.safetensors", path_, run_id, round);
}

std::string StateFolder::Float16Weights(const std::string& run_id, int64_t round,
                                        const std::string& sha256) const {
  return absl::StrFormat("%s/weights/%s/%08d.%s.float16.safetensors", path_, run_id, round,
                         sha256.substr(0, 16));
}

std::string StateFolder::Momentum(const std::string& run_id, int64_t round) const {
  return absl::StrFormat("%s/weights/%s/%08d.momentum.safetensors", path_, run_id, round);
}

std::string StateFolder::Variance(const std::string& run_id, int64_t round) const {
  return absl::StrFormat("%s/weights/%s/%08d.variance.safetensors", path_, run_id, round);
}

std::string StateFolder::SpoolName(const Lease& lease) const {
  return absl::StrFormat("spool/%s/%08d-%04d-%d.safetensors", lease.task.run_id, lease.task.round,
                         lease.task.replica, lease.fencing_token);
}

std::string StateFolder::UploadedWeights(const std::string& sha256) const {
  return absl::StrCat(path_, "/uploads/", sha256, ".safetensors");
}

absl::Status StateFolder::RemoveUploadedWeightsExcept(const std::set<std::string>& wanted,
                                                      size_t keep) const {
  std::vector<std::pair<std::filesystem::file_time_type, std::filesystem::path>> others;
  std::error_code ignored;
  DISTILLERY_RETURN_IF_ERROR(ForEachIn(path_ + "/uploads", [&](const std::filesystem::path& path) {
    if (wanted.count(path.stem().string()) > 0) return;
    others.emplace_back(std::filesystem::last_write_time(path, ignored), path);
  }));
  std::sort(others.begin(), others.end());
  // One that cannot be removed must not keep the others: the limit is on all of them.
  absl::Status removed;
  for (size_t i = 0; i + keep < others.size(); ++i) {
    removed.Update(RemoveFile(others[i].second.string()));
  }
  return removed;
}

std::string StateFolder::Incoming() const {
  return absl::StrCat(path_, "/incoming/", RandomHex(16));
}

absl::Status StateFolder::MakeRunFolders(const std::string& run_id) const {
  for (const char* const part : kRunParts) {
    DISTILLERY_RETURN_IF_ERROR(
        MakeFolders(absl::StrCat(path_, part, "/", run_id), Readers::kOwner));
    DISTILLERY_RETURN_IF_ERROR(SyncFolder(absl::StrCat(path_, part)));
  }
  return SyncFolder(path_);
}

absl::StatusOr<StateFolder::RunFiles> StateFolder::FilesOf(const std::string& run_id) const {
  RunFiles files;
  DISTILLERY_RETURN_IF_ERROR(
      ForEachIn(absl::StrCat(path_, "/weights/", run_id), [&](const std::filesystem::path& path) {
        const std::string name = path.filename().string();
        int64_t round = 0;
        if (absl::SimpleAtoi(name.substr(0, name.find('.')), &round)) {
          files.weights.emplace_back(path.string(), round);
        }
      }));
  DISTILLERY_RETURN_IF_ERROR(ForEachIn(
      absl::StrCat(path_, "/spool/", run_id),
      [&](const std::filesystem::path& path) { files.spooled.push_back(path.string()); }));
  return files;
}

absl::Status StateFolder::RemoveRun(const std::string& run_id) const {
  for (const char* const part : kRunParts) {
    const std::string folder = absl::StrCat(path_, part, "/", run_id);
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    // An average that was under way may have given a file its name meanwhile.
    if (error == std::errc::directory_not_empty) std::filesystem::remove_all(folder, error);
    if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot remove ", folder));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::set<std::string>> StateFolder::RemoveEmptyRunsExcept(
    const std::function<bool(const std::string& run_id)>& known) const {
  std::vector<std::filesystem::path> unknown;
  for (const char* const part : kRunParts) {
    DISTILLERY_RETURN_IF_ERROR(ForEachIn(path_ + part, [&](const std::filesystem::path& path) {
      if (!known(path.filename().string())) unknown.push_back(path);
    }));
  }
  std::set<std::string> left;
  for (const std::filesystem::path& folder : unknown) {
    if (rmdir(folder.c_str()) != 0) left.insert(folder.filename().string());
  }
  return left;
}

}  // namespace distillery
