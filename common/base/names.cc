#include "common/base/names.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/text.h"

namespace distillery {
namespace {

// Levenshtein distance; both names are short.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Printable(absl::string_view text) {
  constexpr size_t kLongest = 80;
  return CutText(PlainText(CutText(text, kLongest)), kLongest);
}

std::string NearestName(absl::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  if (name.size() > 128) return best;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best_distance <= std::max<size_t>(2, name.size() / 3) ? best : "";
}

std::string UnknownName(absl::string_view kind, absl::string_view name,
                        const std::vector<std::string>& candidates) {
  const std::string nearest = NearestName(name, candidates);
  const std::string start = absl::StrCat("unknown ", kind, " \"", Printable(name), "\"; ");
  if (!nearest.empty()) return absl::StrCat(start, "did you mean \"", nearest, "\"?");
  return absl::StrCat(start, "known: ", absl::StrJoin(candidates, ", "));
}

absl::Status CheckName(absl::string_view field, absl::string_view name, size_t max_length) {
  const auto allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  };
  if (name.empty() || name.size() > max_length || name[0] == '.' ||
      !std::all_of(name.begin(), name.end(), allowed)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " must be 1 to ", max_length,
                     " letters, digits, '-', '_' or '.', and not start with '.', got \"",
                     Printable(name), "\""));
  }
  return absl::OkStatus();
}

std::string RandomHex(int size) {
  std::random_device entropy;
  std::string text;
  for (int i = 0; i < size; ++i) text += "0123456789abcdef"[entropy() % 16];
  return text;
}

}  // namespace distillery
