#include "common/nn/archive.h"

#include <zip.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

struct EntryCloser {
  void operator()(zip_file* entry) const { zip_fclose(entry); }
};
using Entry = std::unique_ptr<zip_file, EntryCloser>;

}  // namespace

absl::StatusOr<Archive> Archive::Open(absl::string_view bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_t* archive = nullptr;
  zip_source_t* const source =
      zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error);
  if (source != nullptr) {
    archive = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (archive == nullptr) zip_source_free(source);
  }
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  if (archive == nullptr) return absl::InvalidArgumentError(reason);
  return Archive(archive);
}

Archive::Archive(zip* archive) : archive_(archive) {
  const auto count = static_cast<zip_uint64_t>(zip_get_num_entries(archive, 0));
  for (zip_uint64_t i = 0; i < count; ++i) {
    const char* const name = zip_get_name(archive, i, 0);
    names_.emplace_back(name == nullptr ? "" : name);
  }
}

void Archive::Closer::operator()(zip* archive) const { zip_discard(archive); }

std::string Archive::Read(size_t index, size_t most) const {
  const Entry entry(zip_fopen_index(archive_.get(), index, 0));
  if (entry == nullptr) return "";
  std::string bytes(most, '\0');
  const zip_int64_t read = zip_fread(entry.get(), bytes.data(), most);
  bytes.resize(read < 0 ? 0 : static_cast<size_t>(read));
  return bytes;
}

absl::Status Archive::Verify() const {
  // libzip compares an entry's checksum when it has read the last of it.
  std::string piece(size_t{1} << 16, '\0');
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto damaged = [&](const char* reason) {
      return absl::DataLossError(
          absl::StrCat("its part ", names_[i], " is damaged (", reason, ")"));
    };
    const Entry entry(zip_fopen_index(archive_.get(), i, 0));
    if (entry == nullptr) return damaged(zip_strerror(archive_.get()));
    zip_int64_t read = 1;
    while (read > 0) read = zip_fread(entry.get(), piece.data(), piece.size());
    if (read < 0) return damaged(zip_file_strerror(entry.get()));
  }
  return absl::OkStatus();
}

}  // namespace distillery
