#include "common/base/archive.h"

#include <sys/stat.h>
#include <zip.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// INVALID_ARGUMENT with libzip's reason. Takes the source.
absl::StatusOr<zip_t*> OpenSource(zip_source_t* source, zip_error_t* error) {
  zip_t* archive = nullptr;
  if (source != nullptr) {
    archive = zip_open_from_source(source, ZIP_RDONLY, error);
    if (archive == nullptr) zip_source_free(source);
  }
  const std::string reason = zip_error_strerror(error);
  zip_error_fini(error);
  if (archive == nullptr) return absl::InvalidArgumentError(reason);
  return archive;
}

}  // namespace

void ArchiveEntry::Closer::operator()(zip_file* entry) const { zip_fclose(entry); }

absl::Status ArchiveEntry::Damaged(absl::string_view reason) const {
  return absl::DataLossError(absl::StrCat("its part ", name_, " is damaged (", reason, ")"));
}

absl::Status ArchiveEntry::Read(int64_t bytes, char* output) {
  while (bytes > 0) {
    const zip_int64_t read = zip_fread(entry_.get(), output, static_cast<zip_uint64_t>(bytes));
    if (read < 0) return Damaged(zip_file_strerror(entry_.get()));
    if (read == 0) return Damaged("it is cut short");
    output += read;
    bytes -= read;
  }
  return absl::OkStatus();
}

absl::Status ArchiveEntry::Finish() {
  // libzip compares an entry's checksum when it has read the last of it.
  char rest = '\0';
  const zip_int64_t read = zip_fread(entry_.get(), &rest, 1);
  if (read < 0) return Damaged(zip_file_strerror(entry_.get()));
  if (read > 0) return Damaged("it is longer than it says");
  return absl::OkStatus();
}

absl::StatusOr<Archive> Archive::Open(absl::string_view bytes) {
  zip_error_t error;
  zip_error_init(&error);
  DISTILLERY_ASSIGN_OR_RETURN(
      zip_t* const archive,
      OpenSource(zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error),
                 &error));
  return Archive(archive);
}

absl::StatusOr<Archive> Archive::OpenFile(const std::string& path) {
  struct stat info {};
  DISTILLERY_ASSIGN_OR_RETURN(Descriptor descriptor, OpenRegularFile(path, &info));
  FILE* const file = fdopen(descriptor.get(), "rb");
  if (file == nullptr) return absl::UnavailableError(absl::StrCat("cannot read ", path));
  descriptor.Release();  // it is the stream's now
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_filep_create(file, 0, -1, &error);
  if (source == nullptr) fclose(file);  // else the source closes it
  const absl::StatusOr<zip_t*> archive = OpenSource(source, &error);
  if (!archive.ok()) return Annotate(archive.status(), path);
  return Archive(*archive);
}

Archive::Archive(zip* archive) : archive_(archive) {
  const auto count =
      static_cast<zip_uint64_t>(std::max<zip_int64_t>(0, zip_get_num_entries(archive, 0)));
  for (zip_uint64_t i = 0; i < count; ++i) {
    const char* const name = zip_get_name(archive, i, 0);
    names_.emplace_back(name == nullptr ? "" : name);
  }
}

void Archive::Closer::operator()(zip* archive) const { zip_discard(archive); }

std::string Archive::Read(size_t index, size_t most) const {
  const absl::StatusOr<ArchiveEntry> entry = OpenEntry(index);
  if (!entry.ok()) return "";
  std::string bytes(most, '\0');
  const zip_int64_t read = zip_fread(entry->entry_.get(), bytes.data(), most);
  bytes.resize(read < 0 ? 0 : static_cast<size_t>(read));
  return bytes;
}

int64_t Archive::Size(size_t index) const {
  zip_stat_t about;
  zip_stat_init(&about);
  if (zip_stat_index(archive_.get(), index, 0, &about) != 0) return -1;
  if ((about.valid & ZIP_STAT_SIZE) == 0 || about.size > INT64_MAX) return -1;
  return static_cast<int64_t>(about.size);
}

absl::StatusOr<ArchiveEntry> Archive::OpenEntry(size_t index) const {
  zip_file_t* const file = zip_fopen_index(archive_.get(), index, 0);
  ArchiveEntry entry(names_[index], file);
  if (file == nullptr) return entry.Damaged(zip_strerror(archive_.get()));
  return entry;
}

absl::Status Archive::Verify() const {
  // libzip compares an entry's checksum when it has read the last of it.
  std::string piece(size_t{1} << 16, '\0');
  for (size_t i = 0; i < names_.size(); ++i) {
    DISTILLERY_ASSIGN_OR_RETURN(const ArchiveEntry entry, OpenEntry(i));
    zip_int64_t read = 1;
    while (read > 0) read = zip_fread(entry.entry_.get(), piece.data(), piece.size());
    if (read < 0) return entry.Damaged(zip_file_strerror(entry.entry_.get()));
  }
  return absl::OkStatus();
}

}  // namespace distillery
