#include "common/data/gzip.h"

#include <zlib.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<std::string> GunzipBytes(absl::string_view compressed, int64_t max_bytes,
                                        absl::string_view name) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return absl::InternalError("zlib: no memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));  // NOLINT
  stream.avail_in = static_cast<uInt>(compressed.size());
  std::string bytes;
  int result = Z_OK;
  while (result == Z_OK) {
    const size_t filled = bytes.size();
    if (static_cast<int64_t>(filled) > max_bytes) break;
    const size_t step = std::min<size_t>(std::max<size_t>(filled, 1 << 16),
                                         static_cast<size_t>(max_bytes) + 1 - filled);
    bytes.resize(filled + step);
    stream.next_out = reinterpret_cast<Bytef*>(&bytes[filled]);
    stream.avail_out = static_cast<uInt>(step);
    result = inflate(&stream, Z_NO_FLUSH);
    bytes.resize(filled + step - stream.avail_out);
    if (result == Z_OK && stream.avail_in == 0 && stream.avail_out != 0) break;
  }
  inflateEnd(&stream);
  if (static_cast<int64_t>(bytes.size()) > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, " holds more than ", max_bytes, " bytes"));
  }
  if (result != Z_STREAM_END) {
    return absl::DataLossError(absl::StrCat(name, " is damaged or cut short (gzip)"));
  }
  return bytes;
}

absl::StatusOr<std::string> ReadPlainOrGzip(const std::string& path, int64_t max_bytes) {
  if (FileExists(path)) return ReadFile(path, max_bytes);
  const std::string compressed_path = path + ".gz";
  if (!FileExists(compressed_path)) {
    return absl::NotFoundError(absl::StrCat("neither ", path, " nor ", compressed_path, " exists"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::string compressed, ReadFile(compressed_path, max_bytes));
  return GunzipBytes(compressed, max_bytes, compressed_path);
}

}  // namespace distillery
