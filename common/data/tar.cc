#include "common/data/tar.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/file_kind.h"

namespace distillery {
namespace {

constexpr int64_t kTarBlock = 512;
// Of one extended header or long name.
constexpr int64_t kMaxExtensionBytes = int64_t{1} << 20;

// A field of a header: up to its first zero.
absl::string_view TarField(const char* header, size_t offset, size_t size) {
  return {header + offset, strnlen(header + offset, size)};
}

// A number in octal, or in base 256 if the first bit is set (GNU). None if it is neither, negative
// or too large.
std::optional<int64_t> TarNumber(const char* field, size_t size) {
  int64_t value = 0;
  if ((static_cast<uint8_t>(field[0]) & 0x80U) != 0) {
    for (size_t i = 0; i < size; ++i) {
      const int64_t byte = static_cast<uint8_t>(field[i]) & (i == 0 ? 0x7FU : 0xFFU);
      if (value > (INT64_MAX >> 9)) return std::nullopt;
      value = value * 256 + byte;
    }
    return value;
  }
  size_t i = 0;
  while (i < size && field[i] == ' ') ++i;
  bool any = false;
  for (; i < size && field[i] >= '0' && field[i] <= '7'; ++i, any = true) {
    value = value * 8 + (field[i] - '0');  // at most 12 digits
  }
  for (; i < size; ++i) {
    if (field[i] != ' ' && field[i] != '\0') return std::nullopt;
  }
  if (!any) return std::nullopt;
  return value;
}

// The sum of the header's bytes, its own field taken for spaces.
bool ChecksumFits(const char* header) {
  constexpr int64_t kField = 148;
  constexpr int64_t kFieldBytes = 8;
  const std::optional<int64_t> stated = TarNumber(header + kField, kFieldBytes);
  int64_t sum = 0;
  for (int64_t i = 0; i < kTarBlock; ++i) {
    const bool own = i >= kField && i < kField + kFieldBytes;
    sum += own ? ' ' : static_cast<uint8_t>(header[i]);
  }
  return stated == sum;
}

bool AllZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == '\0'; });
}

bool LeadsOutside(absl::string_view name) {
  if (absl::StartsWith(name, "/")) return true;
  for (const absl::string_view part : absl::StrSplit(name, '/')) {
    if (part == "..") return true;
  }
  return false;
}

}  // namespace

absl::Status TarReader::Fault(absl::StatusCode code, const std::string& what) const {
  return {code, absl::StrCat(name_, ": at byte ", offset_, ": ", what)};
}

absl::StatusOr<std::optional<TarMember>> TarReader::Next() {
  Override override;
  while (true) {
    std::array<char, kTarBlock> block{};
    if (offset_ == 0 && file_.size() >= 2) {
      DISTILLERY_RETURN_IF_ERROR(file_.ReadAt(0, 2, block.data()));
      if (IsGzip({block.data(), 2})) {
        return absl::InvalidArgumentError(absl::StrCat(
            name_, " is gzip-compressed: members cannot be read on demand; run gunzip"));
      }
    }
    if (file_.size() - offset_ < kTarBlock) {
      return Fault(absl::StatusCode::kDataLoss,
                   "the archive is cut short: there is no block of zeros at its end");
    }
    DISTILLERY_RETURN_IF_ERROR(file_.ReadAt(offset_, kTarBlock, block.data()));
    if (AllZero({block.data(), block.size()})) {
      DISTILLERY_RETURN_IF_ERROR(CheckEnd());
      return std::nullopt;
    }
    if (!ChecksumFits(block.data())) {
      return Fault(offset_ == 0 ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kDataLoss,
                   offset_ == 0
                       ? "this is no tar archive: the checksum of its first header does not fit"
                       : "a damaged header: its checksum does not fit");
    }
    const std::optional<int64_t> bytes = TarNumber(&block[124], 12);
    if (!bytes.has_value()) {
      return Fault(absl::StatusCode::kDataLoss, "the size of a member is no number");
    }
    const char type = block[156];
    if (type != 'x' && type != 'g' && type != 'L' && type != 'K') {
      return TakeMember(block.data(), *bytes, override);
    }
    DISTILLERY_ASSIGN_OR_RETURN(std::string text, ReadExtension(*bytes));
    if (type == 'L') override.name = std::string(TarField(text.data(), 0, text.size()));
    if (type == 'x' || type == 'g') {
      DISTILLERY_RETURN_IF_ERROR(TakePax(text, type == 'g', &override));
    }
  }
}

absl::StatusOr<std::string> TarReader::ReadExtension(int64_t bytes) {
  if (bytes > kMaxExtensionBytes) {
    return Fault(
        absl::StatusCode::kDataLoss,
        absl::StrCat("an extended header of ", bytes, " bytes, the limit is ", kMaxExtensionBytes));
  }
  const int64_t padded = (bytes + kTarBlock - 1) / kTarBlock * kTarBlock;
  if (padded > file_.size() - offset_ - kTarBlock) {
    return Fault(absl::StatusCode::kDataLoss, "the archive is cut short in an extended header");
  }
  std::string text(static_cast<size_t>(bytes), '\0');
  DISTILLERY_RETURN_IF_ERROR(file_.ReadAt(offset_ + kTarBlock, bytes, text.data()));
  offset_ += kTarBlock + padded;
  return text;
}

absl::Status TarReader::TakePax(const std::string& text, bool global, Override* override) const {
  const auto damaged = [&] {
    return Fault(absl::StatusCode::kDataLoss, "the extended header before it is damaged");
  };
  // Records are "LENGTH KEY=VALUE\n"; the length counts the whole record.
  for (absl::string_view rest = text; !rest.empty();) {
    const size_t space = rest.find(' ');
    int64_t length = 0;
    if (space == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(0, space), &length) ||
        length <= static_cast<int64_t>(space) + 1 || length > static_cast<int64_t>(rest.size()) ||
        rest[length - 1] != '\n') {
      return damaged();
    }
    const absl::string_view record = rest.substr(space + 1, length - space - 2);
    rest.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == absl::string_view::npos) return damaged();
    const absl::string_view key = record.substr(0, equals);
    const absl::string_view value = record.substr(equals + 1);
    if (global && (key == "path" || key == "size")) {
      return Fault(absl::StatusCode::kInvalidArgument,
                   absl::StrCat("a global header sets the ", key,
                                " of all members; pack the archive anew without it"));
    }
    if (key == "path") override->name = std::string(value);
    if (key == "size") {
      int64_t bytes = 0;
      if (!absl::SimpleAtoi(value, &bytes) || bytes < 0) return damaged();
      override->bytes = bytes;
    }
    if (absl::StartsWith(key, "GNU.sparse.")) override->sparse = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<TarMember>> TarReader::TakeMember(const char* header, int64_t bytes,
                                                               const Override& override) {
  TarMember member;
  const char type = header[156];
  if (override.name.has_value()) {
    member.name = *override.name;
  } else {
    const absl::string_view name = TarField(header, 0, 100);
    const absl::string_view prefix = TarField(header, 345, 155);
    // GNU's own format has "ustar  " and other things in the place of the prefix.
    const bool ustar = absl::string_view(header + 257, 6) == absl::string_view("ustar\0", 6);
    member.name = ustar && !prefix.empty() ? absl::StrCat(prefix, "/", name) : std::string(name);
  }
  while (absl::StartsWith(member.name, "./")) member.name.erase(0, 2);
  if (LeadsOutside(member.name)) {
    return Fault(absl::StatusCode::kInvalidArgument,
                 absl::StrCat("member ", PlainText(member.name),
                              " leads outside the archive; pack it anew with relative names"));
  }
  member.is_folder = type == '5' || (type == '\0' && absl::EndsWith(member.name, "/"));
  member.is_file =
      !member.is_folder && !override.sparse && (type == '0' || type == '\0' || type == '7');
  member.bytes = override.bytes.value_or(bytes);
  // Of folders, links and devices there are no bytes, whatever the size says.
  if (member.is_folder || (type >= '1' && type <= '6')) member.bytes = 0;
  member.offset = offset_ + kTarBlock;
  if (member.bytes > file_.size() - member.offset) {
    return Fault(
        absl::StatusCode::kDataLoss,
        absl::StrCat("the archive is cut short: member ", PlainText(member.name), " has ",
                     member.bytes, " bytes, ", file_.size() - member.offset, " are there"));
  }
  const int64_t padding = (kTarBlock - member.bytes % kTarBlock) % kTarBlock;
  offset_ = member.offset + member.bytes + padding;
  return member;
}

absl::Status TarReader::CheckEnd() {
  std::string block;
  for (int64_t place = offset_; place < file_.size();) {
    block.resize(static_cast<size_t>(std::min<int64_t>(65536, file_.size() - place)));
    DISTILLERY_RETURN_IF_ERROR(
        file_.ReadAt(place, static_cast<int64_t>(block.size()), block.data()));
    if (!AllZero(block)) {
      return Fault(absl::StatusCode::kInvalidArgument,
                   "more follows after the archive's end, such as a second archive; write each "
                   "archive to a file of its own");
    }
    place += static_cast<int64_t>(block.size());
  }
  return absl::OkStatus();
}

}  // namespace distillery
