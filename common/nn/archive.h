// Zip archives in memory; TorchScript files and PyTorch's packages are such. LibTorch does not look
// at their checksums, so that it would make a model with a wrong tensor of a damaged file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct zip;

namespace distillery {

// Not thread-safe.
class Archive {
 public:
  // `bytes` must outlive the archive. INVALID_ARGUMENT, with libzip's reason, for what is no zip
  // archive or is cut short.
  static absl::StatusOr<Archive> Open(absl::string_view bytes);

  // The names of the entries, in the order of the archive.
  const std::vector<std::string>& names() const { return names_; }

  // The first bytes of the entry names()[index], at most `most`, unchecked; "" if they cannot be
  // read.
  std::string Read(size_t index, size_t most) const;

  // Reads every entry. DATA_LOSS names the first one whose bytes do not match its checksum.
  absl::Status Verify() const;

 private:
  struct Closer {
    void operator()(zip* archive) const;
  };
  explicit Archive(zip* archive);

  std::unique_ptr<zip, Closer> archive_;
  std::vector<std::string> names_;
};

}  // namespace distillery
