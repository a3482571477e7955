#include "common/model/model_shelf.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/files.h"

namespace distillery {

absl::StatusOr<std::string> ModelShelf::Find(const std::string& digest) {
  MutexLock lock(mutex_);
  std::vector<std::string> files;
  std::error_code error;
  if (std::filesystem::is_directory(path_, error)) {
    std::filesystem::directory_iterator entry(path_, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      if (entry->path().extension() == ".pt") files.push_back(entry->path().string());
    }
  } else if (!path_.empty()) {
    files.push_back(path_);
  }
  for (const std::string& file : files) {
    if (DigestOf(file) == digest) return file;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("this worker holds no student with SHA-256 ", digest,
                   ": put its TorchScript file into the folder named by --student-dir"));
}

std::string ModelShelf::DigestOf(const std::string& file) {
  constexpr int64_t kMaxModelBytes = int64_t{16} << 30;
  std::error_code error;
  const auto size = static_cast<int64_t>(std::filesystem::file_size(file, error));
  const int64_t modified = std::filesystem::last_write_time(file, error).time_since_epoch().count();
  if (error) return "";
  Known& known = known_[file];
  if (known.digest.empty() || known.size != size || known.modified != modified) {
    const absl::StatusOr<std::string> bytes = ReadFile(file, kMaxModelBytes);
    if (!bytes.ok()) return "";
    known = {size, modified, Sha256Hex(*bytes)};
  }
  return known.digest;
}

}  // namespace distillery
