// A file of the soft-target cache, opened for reading, and the logits in it.
//
// Read by position rather than mapped: a copy into memory that is used again costs less than the
// faults of a fresh mapping (in a virtual machine 0.06 against 0.4 s of CPU per GB), it blocks only
// who asks for it, and a file cut short in place is an error rather than a signal.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/checksum.h"
#include "common/base/file_version.h"
#include "teacher_service/cache/logit_cache_format.h"

namespace distillery {

// Notes when a file was last used, in its access time: the modification time tells whether its
// content is the one that was checked. No error if another user owns the file: it then only seems
// older than it is.
void TouchFile(int descriptor, absl::Time used);

// The logits of one shard; they outlive the file's name, and hold one descriptor. Immutable: safe
// for all threads.
class CachedLogits {
 public:
  ~CachedLogits();
  CachedLogits(const CachedLogits&) = delete;
  CachedLogits& operator=(const CachedLogits&) = delete;

  int64_t rows() const { return rows_; }
  int64_t classes() const { return classes_; }
  StoredType type() const { return type_; }
  // CRC-32C of all rows' bytes, from when they were written.
  uint32_t crc32c() const { return checksums_->all; }
  int64_t row_bytes() const { return row_bytes_; }
  // Rows that are checked together: reads that begin and end between them cost the least.
  int64_t block_rows() const { return block_rows_; }
  // Copies `count` rows, row-major, in the stored type; `crc32c`, if given, becomes the CRC-32C of
  // their bytes. DATA_LOSS if they cannot be read, or are not those that were written: the blocks
  // that they lie in are checked each time, since a disk may damage what was sound. `output` is of
  // no use then. REQUIRES: 0 <= first, 0 <= count, first + count <= rows().
  absl::Status Read(int64_t first, int64_t count, char* output, uint32_t* crc32c = nullptr) const;
  // The file's state now; none if it cannot be told.
  FileVersion version() const;

 private:
  friend class LogitFile;
  CachedLogits(const LogitFileSpec& spec, std::shared_ptr<const LogitChecksums> checksums,
               std::string name, int descriptor);
  // Adds rows that are read for their checksum alone to `crc`.
  absl::Status Skip(int64_t first, int64_t last, uint32_t* crc) const;
  const int64_t rows_;
  const int64_t classes_;
  const StoredType type_;
  const int64_t row_bytes_;
  const int64_t block_rows_;
  const Crc32cJoin join_whole_block_;
  const std::shared_ptr<const LogitChecksums> checksums_;
  // Without its folder: messages about it may leave the process.
  const std::string name_;
  const int descriptor_;
};

// Not thread-safe.
class LogitFile {
 public:
  // NOT_FOUND if there is none, else UNAVAILABLE.
  static absl::StatusOr<LogitFile> Open(const std::string& path);
  LogitFile(LogitFile&& other) noexcept;
  ~LogitFile();

  const FileVersion& version() const { return version_; }
  // DATA_LOSS unless this is a file of the right length with the header for `spec`; reads 128
  // bytes.
  absl::Status CheckHeader(const LogitFileSpec& spec) const;
  // DATA_LOSS also if the logits are not those that were written; reads the whole file.
  absl::StatusOr<std::shared_ptr<const LogitChecksums>> Check(const LogitFileSpec& spec) const;
  // `checksums`: what Check gave for this file, now or earlier. UNAVAILABLE if the system has no
  // descriptor left. After one of the checks, with the same spec.
  absl::StatusOr<std::shared_ptr<const CachedLogits>> Logits(
      const LogitFileSpec& spec, std::shared_ptr<const LogitChecksums> checksums) const;
  void Touch(absl::Time used) const { TouchFile(descriptor_, used); }

 private:
  LogitFile(std::string path, int descriptor, const struct stat& info)
      : path_(std::move(path)),
        descriptor_(descriptor),
        version_(FileVersion::Of(info)),
        regular_(S_ISREG(info.st_mode)) {}
  // The logits' crc, of a header and a length that are right.
  absl::StatusOr<uint32_t> WrittenCrc(const LogitFileSpec& spec) const;

  const std::string path_;
  int descriptor_;
  const FileVersion version_;
  const bool regular_;
};

}  // namespace distillery
