#include "common/data/digest_file.h"

#include <charconv>
#include <tuple>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/data/side_file.h"

namespace distillery {
namespace {

constexpr int64_t kMaxDigestFileBytes = int64_t{16} << 20;
// "crc32c 01234567\n"
constexpr size_t kCrcLineBytes = 16;
constexpr size_t kHexDigits = 2 * std::tuple_size<ShardDigest>::value;

std::string CrcLine(absl::string_view text) {
  return absl::StrFormat("crc32c %08x\n", Crc32c(text));
}

std::string KeyOf(const SplitRows& rows, const std::string& split) {
  const StoredSamples& samples = *rows.samples;
  std::string key = absl::StrCat("distillery digests 1\nsplit ", split, "\nshard_size ",
                                 rows.shard_size, "\nrows ", rows.size(), "\n");
  if (samples.spec.is_picture_by_class()) {
    absl::StrAppend(&key, "shape ", absl::StrJoin(samples.shape().ToVector(), "x"), "\n");
  } else {
    absl::StrAppend(&key, "samples ", samples.spec.ToString(), "\n");
  }
  for (const FileStamp& file : samples.sources.files) {
    absl::StrAppend(&key, "file ", file.name, " ", file.bytes, " ", file.modified_ns, "\n");
  }
  return key;
}

// Takes "WORD NUMBER NUMBER...\n" from the start of `text`.
bool TakeNumbers(absl::string_view word, std::vector<int64_t>* numbers, absl::string_view* text) {
  const size_t end = text->find('\n');
  if (end == absl::string_view::npos) return false;
  const std::vector<absl::string_view> fields = absl::StrSplit(text->substr(0, end), ' ');
  text->remove_prefix(end + 1);
  if (fields[0] != word || fields.size() != numbers->size() + 1) return false;
  for (size_t i = 0; i < numbers->size(); ++i) {
    if (!absl::SimpleAtoi(fields[i + 1], &(*numbers)[i])) return false;
  }
  return true;
}

absl::Status Write(const std::string& path, absl::string_view text) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(FolderOf(path)));
  return WriteFileDurably(path, text);
}

}  // namespace

DigestFile::DigestFile(const SplitRows& rows, const std::string& split)
    : key_(KeyOf(rows, split)),
      shard_count_(static_cast<size_t>(rows.shard_count())),
      channel_count_(SumCount(rows.samples->spec)),
      paths_(SidePaths(rows.samples->sources.folder,
                       absl::StrCat(split, "-", rows.shard_size, ".digests"))) {}

std::optional<ShardDigests> DigestFile::Load() const {
  for (const std::string& path : paths_) {
    const absl::StatusOr<std::string> text = ReadFile(path, kMaxDigestFileBytes);
    if (!text.ok()) continue;
    std::optional<ShardDigests> digests = Parse(*text);
    if (digests.has_value()) return digests;
  }
  return std::nullopt;
}

std::optional<ShardDigests> DigestFile::Parse(absl::string_view text) const {
  if (text.size() < kCrcLineBytes) return std::nullopt;
  const absl::string_view crc = text.substr(text.size() - kCrcLineBytes);
  text.remove_suffix(kCrcLineBytes);
  if (crc != CrcLine(text) || !absl::ConsumePrefix(&text, key_)) return std::nullopt;
  ShardDigests digests;
  for (size_t channel = 0; channel < channel_count_; ++channel) {
    std::vector<int64_t> sums(2);
    if (!TakeNumbers("sums", &sums, &text)) return std::nullopt;
    digests.sums.push_back({sums[0], sums[1]});
  }
  if (text.size() != shard_count_ * (kHexDigits + 1)) return std::nullopt;
  digests.shards.reserve(shard_count_);
  for (; !text.empty(); text.remove_prefix(kHexDigits + 1)) {
    const char* digits = text.data();
    for (char& byte : digests.shards.emplace_back()) {
      uint8_t value = 0;
      std::from_chars(digits, digits + 2, value, 16);
      byte = static_cast<char>(value);
      digits += 2;
    }
  }
  return digests;
}

void DigestFile::Store(const ShardDigests& digests) const {
  std::string text = key_;
  for (const ChannelSums& sums : digests.sums) {
    absl::StrAppend(&text, "sums ", sums.values, " ", sums.squares, "\n");
  }
  for (const ShardDigest& digest : digests.shards) {
    absl::StrAppend(&text, absl::BytesToHexString({digest.data(), digest.size()}), "\n");
  }
  text += CrcLine(text);
  // Two of this process would write to one temporary file.
  static Mutex* const mutex = new Mutex;
  MutexLock lock(*mutex);
  absl::Status status;
  for (const std::string& path : paths_) {
    status = Write(path, text);
    if (status.ok()) return;
  }
  LogWarning("the digest of a data set is computed anew each time it is opened: {}",
             std::string(status.message()));
}

}  // namespace distillery
