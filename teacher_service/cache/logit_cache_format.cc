#include "teacher_service/cache/logit_cache_format.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/descriptor.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kMaxPayloadBytes = int64_t{1} << 40;
constexpr int64_t kReadBytes = int64_t{256} << 10;  // stays in a core's cache between copy and crc

uint32_t HeaderCrc(const LogitHeader& header) {
  return Crc32c({reinterpret_cast<const char*>(&header), offsetof(LogitHeader, header_crc32c)});
}

}  // namespace

absl::Status ReadLogitBytes(int descriptor, int64_t offset, char* bytes, int64_t size,
                            const std::string& path) {
  const ReadOutcome read = ReadAt(descriptor, offset, size, bytes);
  if (read.bytes == size) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("cannot read ", path, ": ",
                   read.error_number != 0 ? std::strerror(read.error_number) : "cut short"));
}

absl::Status LogitFileSpec::Validate() const {
  const int64_t element_bytes = type == StoredType::kFloat16 ? 2 : 4;
  return CheckedElementCount({rows, classes}, kMaxPayloadBytes / element_bytes).status();
}

LogitHeader MakeLogitHeader(const LogitFileSpec& spec, uint32_t payload_crc32c) {
  LogitHeader header;
  header.stored_type = static_cast<uint32_t>(spec.type);
  header.rows = spec.rows;
  header.classes = spec.classes;
  const std::string digest = spec.key.Digest();
  std::copy(digest.begin(), digest.end(), header.key_digest);
  header.payload_crc32c = payload_crc32c;
  header.header_crc32c = HeaderCrc(header);
  return header;
}

absl::StatusOr<LogitHeader> ReadLogitHeader(int descriptor, const LogitFileSpec& spec,
                                            const std::string& path) {
  LogitHeader header;
  DISTILLERY_RETURN_IF_ERROR(
      ReadLogitBytes(descriptor, 0, reinterpret_cast<char*>(&header), kLogitHeaderBytes, path));
  if (header.header_crc32c != HeaderCrc(header)) {
    return absl::DataLossError(absl::StrCat(path, " has a damaged header"));
  }
  const LogitHeader wanted = MakeLogitHeader(spec, header.payload_crc32c);
  if (std::memcmp(&header, &wanted, sizeof(header)) != 0) {
    return absl::DataLossError(absl::StrCat(path, " does not hold ", spec.rows, " x ", spec.classes,
                                            " logits of ", spec.key.ToString()));
  }
  return header;
}

absl::StatusOr<std::shared_ptr<const LogitChecksums>> ReadLogitChecksums(int descriptor,
                                                                         const LogitFileSpec& spec,
                                                                         const std::string& path) {
  const auto buffer = std::make_unique<char[]>(static_cast<size_t>(kReadBytes));
  auto checksums = std::make_shared<LogitChecksums>();
  const int64_t block_bytes = spec.block_rows() * spec.row_bytes();
  const Crc32cJoin join_whole_block(block_bytes);
  for (int64_t first = 0; first < spec.payload_bytes(); first += block_bytes) {
    const int64_t end = std::min(first + block_bytes, spec.payload_bytes());
    uint32_t crc = 0;
    for (int64_t done = first; done < end;) {
      const int64_t size = std::min(kReadBytes, end - done);
      DISTILLERY_RETURN_IF_ERROR(
          ReadLogitBytes(descriptor, kLogitHeaderBytes + done, buffer.get(), size, path));
      crc = Crc32c({buffer.get(), static_cast<size_t>(size)}, crc);
      done += size;
    }
    checksums->blocks.push_back(crc);
    checksums->all = end - first == block_bytes ? join_whole_block(checksums->all, crc)
                                                : Crc32cJoin(end - first)(checksums->all, crc);
  }
  return checksums;
}

}  // namespace distillery
