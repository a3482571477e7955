// The bytes of a file of the soft-target cache: a header of 128 bytes, then raw logits [rows,
// classes].
//
// The header holds the key's digest, so a file under a wrong name is not served, and a crc32c of
// itself and of the logits, so one that is torn or damaged is not either. Who has read a whole file
// and found it sound knows the checksums of its blocks, by which each later read of a part is
// checked. Numbers are little-endian.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "teacher_service/cache/logit_key.h"

namespace distillery {

inline constexpr int64_t kLogitHeaderBytes = 128;

// What a file must hold.
struct LogitFileSpec {
  LogitKey key;
  int64_t rows = 0;
  // Numbers of a row: classes, as many times as an answer has positions.
  int64_t classes = 0;
  StoredType type = StoredType::kFloat32;

  // INVALID_ARGUMENT unless rows and classes are > 0 and the logits take at most 1 TiB.
  absl::Status Validate() const;
  // REQUIRES (all three): Validate() is OK.
  int64_t row_bytes() const { return classes * (type == StoredType::kFloat16 ? 2 : 4); }
  int64_t payload_bytes() const { return rows * row_bytes(); }
  int64_t file_bytes() const { return kLogitHeaderBytes + payload_bytes(); }
  // Rows of a block, which is checked as a whole; the last one may have less. So many that a block
  // stays in a core's cache between copy and checksum, and that the checksums take 4 bytes of
  // memory for about 64 KiB of the file.
  int64_t block_rows() const { return std::max<int64_t>(1, (int64_t{64} << 10) / row_bytes()); }
};

// The CRC-32C of the logits of each block, and of all.
struct LogitChecksums {
  std::vector<uint32_t> blocks;
  uint32_t all = 0;
};

// As on disk.
struct LogitHeader {
  char magic[8] = {'D', 'S', 'T', 'L', 'O', 'G', 'I', 'T'};
  uint32_t version = 1;
  uint32_t stored_type = 0;
  int64_t rows = 0;
  int64_t classes = 0;
  char key_digest[64] = {};
  char reserved[24] = {};
  uint32_t payload_crc32c = 0;
  // The checksum of the bytes before.
  uint32_t header_crc32c = 0;
};
static_assert(sizeof(LogitHeader) == kLogitHeaderBytes);
static_assert(kLogitHeaderBytes % 64 == 0, "the logits are aligned for vector loads");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian");

LogitHeader MakeLogitHeader(const LogitFileSpec& spec, uint32_t payload_crc32c);

// Reads the header from the start of the open file and checks it: DATA_LOSS unless it is undamaged
// and for `spec`. `path` is for messages (all).
absl::StatusOr<LogitHeader> ReadLogitHeader(int descriptor, const LogitFileSpec& spec,
                                            const std::string& path);

// Reads `size` bytes from `offset` on. DATA_LOSS if they are not there or cannot be read.
absl::Status ReadLogitBytes(int descriptor, int64_t offset, char* bytes, int64_t size,
                            const std::string& path);

// The checksums of the logits in the open file, read in order. DATA_LOSS if the file is shorter
// than `spec` says or cannot be read. A read, unlike a mapping, makes neither a signal.
absl::StatusOr<std::shared_ptr<const LogitChecksums>> ReadLogitChecksums(int descriptor,
                                                                         const LogitFileSpec& spec,
                                                                         const std::string& path);

}  // namespace distillery
