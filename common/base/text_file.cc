#include "common/base/text_file.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<std::string> ReadTextFile(const std::string& path, int64_t max_bytes) {
  DISTILLERY_ASSIGN_OR_RETURN(std::string text, ReadFile(path, max_bytes));
  constexpr absl::string_view kMark = "\xEF\xBB\xBF";
  if (absl::StartsWith(text, kMark)) text.erase(0, kMark.size());
  // UTF-32 starts with the mark of UTF-16, or with zeros and then the mark.
  if (absl::StartsWith(text, "\xFF\xFE") || absl::StartsWith(text, "\xFE\xFF") ||
      absl::StartsWith(text, absl::string_view("\0\0\xFE\xFF", 4))) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is UTF-16 or UTF-32 text: save it as UTF-8"));
  }
  return text;
}

}  // namespace distillery
