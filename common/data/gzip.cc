#include "common/data/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/file_kind.h"

namespace distillery {
namespace {

// zlib counts in 32 bits.
constexpr size_t kMostAtOnce = size_t{1} << 30;

absl::Status CheckGzip(absl::string_view compressed, absl::string_view name) {
  if (compressed.size() < 2 || IsGzip(compressed)) return absl::OkStatus();
  const absl::string_view kind = FileKind(compressed);
  return absl::DataLossError(absl::StrCat(name, " is not gzip-compressed",
                                          kind.empty() ? "" : " but ", kind,
                                          ": if it is the plain file, take the .gz off its name"));
}

absl::Status Damaged(absl::string_view name) {
  return absl::DataLossError(absl::StrCat(name, " is damaged or cut short (gzip)"));
}

bool IsPadding(absl::string_view text) {
  return text.find_first_not_of('\0') == absl::string_view::npos;
}

// Appends what is compressed to `bytes` until there are more than max_bytes. Returns zlib's result:
// Z_STREAM_END at the end.
int Inflate(absl::string_view compressed, int64_t max_bytes, std::string* bytes) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  int result = inflateInit2(&stream, kGzipWindow);
  while (result == Z_OK && static_cast<int64_t>(bytes->size()) <= max_bytes) {
    if (stream.avail_in == 0) {
      const absl::string_view part = compressed.substr(0, kMostAtOnce);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));  // NOLINT
      stream.avail_in = static_cast<uInt>(part.size());
      compressed.remove_prefix(part.size());
    }
    const size_t filled = bytes->size();
    const size_t step = std::min({std::max<size_t>(filled, 1 << 16), kMostAtOnce,
                                  static_cast<size_t>(max_bytes) + 1 - filled});
    bytes->resize(filled + step);
    stream.next_out = reinterpret_cast<Bytef*>(&(*bytes)[filled]);
    stream.avail_out = static_cast<uInt>(step);
    result = inflate(&stream, Z_NO_FLUSH);
    bytes->resize(filled + step - stream.avail_out);
    const bool more = stream.avail_in > 0 || !compressed.empty();
    if (result == Z_STREAM_END && more) {
      const absl::string_view rest(reinterpret_cast<const char*>(stream.next_in), stream.avail_in);
      if (IsPadding(rest) && IsPadding(compressed)) break;
      result = inflateReset(&stream);  // several members are one after the other
    }
    if (!more && stream.avail_out != 0) break;
  }
  inflateEnd(&stream);
  return result;
}

}  // namespace

absl::StatusOr<std::string> GunzipBytes(absl::string_view compressed, int64_t max_bytes,
                                        absl::string_view name) {
  DISTILLERY_RETURN_IF_ERROR(CheckGzip(compressed, name));
  std::string bytes;
  const int result = Inflate(compressed, max_bytes, &bytes);
  if (static_cast<int64_t>(bytes.size()) > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, " holds more than ", max_bytes, " bytes"));
  }
  if (result != Z_STREAM_END) return Damaged(name);
  return bytes;
}

absl::StatusOr<std::string> GunzipStart(absl::string_view compressed, int64_t bytes,
                                        absl::string_view name) {
  DISTILLERY_RETURN_IF_ERROR(CheckGzip(compressed, name));
  std::string start;
  const int result = Inflate(compressed, bytes, &start);
  if (static_cast<int64_t>(start.size()) <= bytes) {
    if (result != Z_STREAM_END) return Damaged(name);
  } else {
    start.resize(static_cast<size_t>(bytes));
  }
  return start;
}

absl::StatusOr<std::string> ReadPlainOrGzip(const std::string& path, int64_t max_bytes) {
  if (NameIsTaken(path)) return ReadFile(path, max_bytes);
  const std::string compressed_path = path + ".gz";
  if (!NameIsTaken(compressed_path)) {
    return absl::NotFoundError(absl::StrCat("neither ", path, " nor ", compressed_path, " exists"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::string compressed, ReadFile(compressed_path, max_bytes));
  return GunzipBytes(compressed, max_bytes, compressed_path);
}

}  // namespace distillery
