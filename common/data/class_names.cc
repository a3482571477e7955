#include "common/data/class_names.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/base/text_file.h"

namespace distillery {
namespace {

constexpr int64_t kMaxNamesBytes = int64_t{32} << 20;
constexpr size_t kMaxNameBytes = 256;

bool IsPrintable(const std::string& text) {
  for (const char letter : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(letter))) return false;
  }
  return IsUtf8(text);
}

}  // namespace

std::vector<std::string> NumberedClassNames(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

absl::StatusOr<std::vector<std::string>> ReadClassNames(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxNamesBytes));
  std::vector<std::string> names;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    names.emplace_back(absl::StripAsciiWhitespace(line));
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  return names;
}

absl::Status CheckClassNames(const std::vector<std::string>& names, size_t least) {
  const auto count = static_cast<int64_t>(names.size());
  if (names.size() < least || count > kMaxClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("there must be ", least, " to ", kMaxClasses, " classes, not ", count));
  }
  std::set<std::string> seen;
  for (int64_t i = 0; i < count; ++i) {
    const std::string& name = names[i];
    const auto wrong = [&](absl::string_view why) {
      return absl::InvalidArgumentError(
          absl::StrCat("class ", i, " has the name \"", Printable(name), "\", ", why));
    };
    if (name.empty() || name.size() > kMaxNameBytes) {
      return wrong(absl::StrCat("names have 1 to ", kMaxNameBytes, " bytes"));
    }
    if (!IsPrintable(name)) return wrong("names are printable UTF-8");
    if (!seen.insert(name).second) return wrong("which another class has too");
  }
  return absl::OkStatus();
}

}  // namespace distillery
