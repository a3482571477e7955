// The files that an average is made of: the weights, the optimizer's moments and the deltas. They
// are read twice, and what the second pass reads is what the first one checked.
//
// The first pass compares each file's SHA-256 with the record's and keeps a CRC-32C; the second,
// whose bytes go into the new weights, compares that CRC, which costs next to nothing beside the
// arithmetic. Files that cannot be read, or whose bytes are others, are damaged: their bytes are
// made anew from what they come from, and no run ends for them.
//
// Threads: none. Reads block on the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/checksum.h"
#include "common/base/input_file.h"

namespace distillery {

class AverageInputs {
 public:
  AverageInputs();

  // The number of the file among those added, from 0. `sha256` "": nothing is known of its bytes,
  // and an error of it is returned rather than taken for damage. `made_anew`: damaged as well if
  // rights, or what has taken its place, keep it from being read; nobody need mend that.
  size_t Add(std::string path, std::string sha256, bool made_anew = false);
  size_t size() const { return files_.size(); }
  // Known to be missing, unreadable, or other than what the record says.
  bool damaged(size_t file) const { return files_[file].damaged; }
  bool any_damaged() const;

  // Bytes; errors as those of ReadAt.
  absl::StatusOr<int64_t> SizeOf(size_t file);
  // Reads all of `bytes` from `offset` on. In one pass a file's offsets only grow; what a pass
  // skips is read for its checksum. DATA_LOSS if the file is missing, cut short or unreadable;
  // UNAVAILABLE where a person or time can help.
  absl::Status ReadAt(size_t file, int64_t offset, std::string* bytes);
  // Ends the file's first pass. DATA_LOSS if its SHA-256 is another than the record's.
  absl::Status EndCheck(size_t file);
  // Where its header is not what it must be; returns the reason, with which it may have to end.
  absl::Status NoteDamage(size_t file, absl::Status reason);
  // Begins the second pass of all: of each its first bytes, `header`, are known already.
  void BeginUse(const std::string& header);
  // Ends it. DATA_LOSS if some file's bytes were others than in the first pass.
  absl::Status EndUse();

 private:
  struct File {
    std::string path;
    std::string sha256;
    bool made_anew = false;
    // The first ones stay open; where there are more than a process may have open beside all else,
    // the others are opened for each read.
    std::optional<InputFile> open;
    bool damaged = false;
    // The pass: how far it has come, and the checksums of the bytes so far; the SHA-256 of the
    // first alone.
    int64_t next = 0;
    uint32_t crc32c = 0;
    std::unique_ptr<Sha256> digest = std::make_unique<Sha256>();
    // The size and the checksum of the whole file, from the first pass.
    int64_t size = 0;
    uint32_t checked_crc32c = 0;
  };
  // Marks the file as damaged if the error says so.
  static absl::Status Judge(File* file, absl::Status status);
  absl::Status Open(File* file, std::optional<InputFile>* opened, const InputFile** input);
  static absl::Status Advance(File* file, const InputFile& input, int64_t offset);
  static void Count(File* file, const std::string& bytes);

  const size_t most_open_;
  size_t open_count_ = 0;
  std::vector<File> files_;
};

}  // namespace distillery
