// Zip archives: TorchScript files and PyTorch's packages are such, which LibTorch reads without a
// look at their checksums, so that it would make a model with a wrong tensor of a damaged file; and
// NumPy's .npz files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct zip;
struct zip_file;

namespace distillery {

// One entry, read from its start to its end. Not thread-safe.
class ArchiveEntry {
 public:
  // Reads exactly `bytes`. DATA_LOSS if there are fewer or they are damaged.
  absl::Status Read(int64_t bytes, char* output);
  // DATA_LOSS unless all has been read and matches the checksum.
  absl::Status Finish();

 private:
  friend class Archive;
  struct Closer {
    void operator()(zip_file* entry) const;
  };
  ArchiveEntry(std::string name, zip_file* entry) : name_(std::move(name)), entry_(entry) {}
  absl::Status Damaged(absl::string_view reason) const;

  std::string name_;
  std::unique_ptr<zip_file, Closer> entry_;
};

// Not thread-safe.
class Archive {
 public:
  // `bytes` must outlive the archive. INVALID_ARGUMENT, with libzip's reason, for what is no zip
  // archive or is cut short.
  static absl::StatusOr<Archive> Open(absl::string_view bytes);
  // An archive that is read on demand. INVALID_ARGUMENT as Open, and errors of OpenRegularFile.
  static absl::StatusOr<Archive> OpenFile(const std::string& path);

  // The names of the entries, in the order of the archive.
  const std::vector<std::string>& names() const { return names_; }

  // The first bytes of the entry names()[index], at most `most`, unchecked; "" if they cannot be
  // read.
  std::string Read(size_t index, size_t most) const;

  // Bytes of the entry names()[index] once decompressed, as the archive says; -1 if it does not.
  int64_t Size(size_t index) const;
  // DATA_LOSS for an entry that cannot be read: by encryption, by its compression.
  absl::StatusOr<ArchiveEntry> OpenEntry(size_t index) const;

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
