#include "teacher_service/cache/logit_cache_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "teacher_service/cache/logit_key.h"
#include "teacher_service/cache/unfinished_logit_file.h"

namespace distillery {
namespace {

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

absl::Status FolderError(int error_number, const std::string& folder) {
  if (error_number == EACCES || error_number == EPERM || error_number == EROFS) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the soft-target cache cannot write to its folder ", folder, " (",
        std::strerror(error_number), "); give --cache-dir a folder that this user may write to"));
  }
  return ErrnoStatus(error_number, absl::StrCat("cannot use ", folder, ", given by --cache-dir"));
}

}  // namespace

absl::Status PrepareLogitFolder(const std::string& folder) {
  // What went wrong is told below, in terms of the flag. A folder that others could enter is closed
  // to them, and with it all that an older version left in it.
  (void)MakeFolders(folder, Readers::kOwner);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return FolderError(error.value(), folder);
  if (faccessat(AT_FDCWD, folder.c_str(), R_OK | W_OK | X_OK, AT_EACCESS) != 0) {
    return FolderError(errno, folder);
  }
  return absl::OkStatus();
}

std::vector<FoundLogitFile> ScanLogitFolder(const std::string& folder, absl::Time now) {
  std::vector<FoundLogitFile> found;
  for (const std::string& teacher : NamesIn(folder)) {
    for (const std::string& dataset : NamesIn(absl::StrCat(folder, "/", teacher))) {
      const std::string inner = absl::StrCat(teacher, "/", dataset);
      for (const std::string& name : NamesIn(absl::StrCat(folder, "/", inner))) {
        const std::string path = absl::StrCat(inner, "/", name);
        const std::string full_path = absl::StrCat(folder, "/", path);
        struct stat info {};
        if (IsTemporaryLogitFileName(name)) {
          UnfinishedLogitFile::RemoveIfLeftBehind(full_path, now);
        } else if (IsLogitFileName(name) && lstat(full_path.c_str(), &info) == 0 &&
                   S_ISREG(info.st_mode)) {
          found.push_back({path, info.st_size, absl::TimeFromTimespec(info.st_atim)});
        }
      }
    }
  }
  return found;
}

}  // namespace distillery
