#include "coordinator/state/each_file.h"

#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/disk_errors.h"

namespace distillery {

absl::Status ForEachIn(const std::string& folder,
                       const std::function<void(const std::filesystem::path&)>& visit) {
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    visit(entry->path());
    entry.increment(error);
  }
  if (!error || error == std::errc::no_such_file_or_directory) return absl::OkStatus();
  return ErrnoStatus(error.value(), absl::StrCat("cannot list ", folder));
}

}  // namespace distillery
