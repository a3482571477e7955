#include "common/data/left_out.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/text.h"

namespace distillery {
namespace {

constexpr size_t kMostListed = 8;
// To count more would take long, and says no more.
constexpr int64_t kMostCounted = 1'000'000;

// ".webp"; "" for a name without an ending.
std::string EndingOf(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos || name.find('/', dot) != std::string::npos) return "";
  return absl::AsciiStrToLower(name.substr(dot));
}

int64_t CountFiles(const std::string& folder) {
  int64_t count = 0;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator() && count < kMostCounted;
       entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_directory(ignored)) ++count;
  }
  return count;
}

std::string Files(int64_t count) { return absl::StrCat(count, count == 1 ? " file" : " files"); }

}  // namespace

absl::StatusOr<FolderNames> ListFolder(const std::string& path) {
  FolderNames names;
  std::error_code error;
  std::filesystem::directory_iterator entry(path, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    std::string name = entry->path().filename().string();
    if (name[0] == '.') continue;
    (entry->is_directory(ignored) ? names.folders : names.files).push_back(std::move(name));
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot list ", path));
  std::sort(names.folders.begin(), names.folders.end());
  std::sort(names.files.begin(), names.files.end());
  return names;
}

void LeftOutFiles::AddFile(const std::string& name) {
  const std::string ending = EndingOf(name);
  const auto known = std::find_if(groups_.begin(), groups_.end(),
                                  [&](const Group& group) { return group.ending == ending; });
  if (known != groups_.end()) {
    ++known->count;
  } else {
    groups_.push_back({ending, name, 1});
  }
}

void LeftOutFiles::AddFolder(const std::string& name, absl::string_view why) {
  const int64_t count = CountFiles(absl::StrCat(folder_, "/", name));
  folders_.push_back(
      {absl::StrCat("the folder ", PlainText(name), " of ", Files(count), why), count});
}

std::vector<LeftOut> LeftOutFiles::Finish() && {
  std::stable_sort(groups_.begin(), groups_.end(),
                   [](const Group& a, const Group& b) { return a.count > b.count; });
  std::vector<LeftOut> all;
  for (const Group& group : groups_) {
    const std::string kind =
        group.ending.empty() ? " without an ending" : absl::StrCat(" ", PlainText(group.ending));
    all.push_back({absl::StrCat(Files(group.count), kind, " such as ", PlainText(group.example)),
                   group.count});
  }
  all.insert(all.end(), folders_.begin(), folders_.end());
  return all;
}

void LeftOutFiles::AddBeside(const std::string& within, const std::set<std::string>& known,
                             bool with_folders) {
  const absl::StatusOr<FolderNames> names = ListFolder(absl::StrCat(folder_, "/", within));
  if (!names.ok()) return;
  const std::string start = within.empty() ? "" : absl::StrCat(within, "/");
  for (const std::string& file : names->files) {
    if (known.count(start + file) == 0) AddFile(start + file);
  }
  if (!with_folders) return;
  for (const std::string& name : names->folders) {
    if (known.count(start + name) == 0) AddFolder(start + name);
  }
}

std::vector<LeftOut> LeftOutBeside(const std::string& folder, const std::set<std::string>& read,
                                   bool with_folders) {
  LeftOutFiles left_out(folder);
  left_out.AddBeside("", read, with_folders);
  return std::move(left_out).Finish();
}

std::string JoinLeftOut(const std::vector<LeftOut>& left_out) {
  const size_t named = std::min(kMostListed, left_out.size());
  std::string text =
      absl::StrJoin(left_out.begin(), left_out.begin() + static_cast<int64_t>(named), "; ",
                    [](std::string* out, const LeftOut& entry) { out->append(entry.what); });
  if (named < left_out.size()) absl::StrAppend(&text, "; and ", left_out.size() - named, " more");
  return text;
}

}  // namespace distillery
