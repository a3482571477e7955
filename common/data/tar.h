// The members of a tar archive, one after the other: POSIX ustar and pax (IEEE Std 1003.1, "pax"),
// and the long names of GNU tar (its manual, "Basic Tar Format"). Nothing is extracted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/input_file.h"

namespace distillery {

struct TarMember {
  // Without "./" at its start.
  std::string name;
  // Where its bytes lie in the archive.
  int64_t offset = 0;
  int64_t bytes = 0;
  // A file that lies in the archive as it is; else a folder, a link, a device or a sparse file.
  bool is_file = false;
  bool is_folder = false;
};

// Not thread-safe. Reads 512 bytes for each member, and what long names take.
class TarReader {
 public:
  // `file` must outlive it; `name` is for messages.
  TarReader(const InputFile& file, std::string name) : file_(file), name_(std::move(name)) {}

  // The next member; none after the last. Messages name the archive and the offset.
  //   INVALID_ARGUMENT  compressed by gzip, no tar archive, several archives in one file, a member
  //                     that leads outside ("../x", "/x"), a global header that names or sizes
  //                     members
  //   DATA_LOSS         cut short, also just before the blocks of zeros that end it; a damaged
  //                     header
  absl::StatusOr<std::optional<TarMember>> Next();

  // Where it stands in the archive.
  int64_t offset() const { return offset_; }

 private:
  // What the headers before a member's own say about it.
  struct Override {
    std::optional<std::string> name;
    std::optional<int64_t> bytes;
    bool sparse = false;
  };

  absl::StatusOr<std::string> ReadExtension(int64_t bytes);
  absl::Status TakePax(const std::string& text, bool global, Override* override) const;
  absl::StatusOr<std::optional<TarMember>> TakeMember(const char* header, int64_t bytes,
                                                      const Override& override);
  // Whether nothing but zeros follows.
  absl::Status CheckEnd();
  absl::Status Fault(absl::StatusCode code, const std::string& what) const;

  const InputFile& file_;
  const std::string name_;
  int64_t offset_ = 0;
};

}  // namespace distillery
