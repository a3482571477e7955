#include "common/data/side_file.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"

namespace distillery {
namespace {

// The user's folder for what may be lost, or "".
std::string CacheFolder() {
  const char* const set = std::getenv("XDG_CACHE_HOME");
  if (set != nullptr && *set == '/') return absl::StrCat(set, "/distillery");
  const char* const home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return absl::StrCat(home, "/.cache/distillery");
  return "";
}

}  // namespace

std::vector<std::string> SidePaths(const std::string& folder, const std::string& name) {
  std::vector<std::string> paths = {absl::StrCat(folder, "/.distillery/", name)};
  const std::string cache = CacheFolder();
  std::error_code error;
  const std::string whole = std::filesystem::canonical(folder, error).string();
  if (!cache.empty() && !error) {
    constexpr size_t kFolderDigits = 16;
    paths.push_back(absl::StrCat(cache, "/", Sha256Hex(whole).substr(0, kFolderDigits), "-", name));
  }
  return paths;
}

}  // namespace distillery
