#include "coordinator/average_inputs.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kStepBytes = 1 << 20;

// How many files may stay open: a part of what the process may open, for connections need the rest.
size_t MostOpen() {
  constexpr rlim_t kMost = 256;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return std::min<rlim_t>(kMost, limit.rlim_cur / 8);
}

}  // namespace

AverageInputs::AverageInputs() : most_open_(MostOpen()) {}

size_t AverageInputs::Add(std::string path, std::string sha256, bool made_anew) {
  File& file = files_.emplace_back();
  file.path = std::move(path);
  file.sha256 = std::move(sha256);
  file.made_anew = made_anew && !file.sha256.empty();
  return files_.size() - 1;
}

bool AverageInputs::any_damaged() const {
  return std::any_of(files_.begin(), files_.end(), [](const File& file) { return file.damaged; });
}

absl::StatusOr<int64_t> AverageInputs::SizeOf(size_t file) {
  std::optional<InputFile> opened;
  const InputFile* input = nullptr;
  DISTILLERY_RETURN_IF_ERROR(Open(&files_[file], &opened, &input));
  return input->size();
}

absl::Status AverageInputs::ReadAt(size_t file, int64_t offset, std::string* bytes) {
  File& read = files_[file];
  std::optional<InputFile> opened;
  const InputFile* input = nullptr;
  DISTILLERY_RETURN_IF_ERROR(Open(&read, &opened, &input));
  DISTILLERY_RETURN_IF_ERROR(Advance(&read, *input, offset));
  DISTILLERY_RETURN_IF_ERROR(
      Judge(&read, input->ReadAt(offset, static_cast<int64_t>(bytes->size()), bytes->data())));
  Count(&read, *bytes);
  return absl::OkStatus();
}

absl::Status AverageInputs::EndCheck(size_t file) {
  File& checked = files_[file];
  std::optional<InputFile> opened;
  const InputFile* input = nullptr;
  DISTILLERY_RETURN_IF_ERROR(Open(&checked, &opened, &input));
  DISTILLERY_RETURN_IF_ERROR(Advance(&checked, *input, input->size()));
  checked.size = checked.next;
  checked.checked_crc32c = checked.crc32c;
  const std::string found = checked.digest->HexDigest();
  checked.digest.reset();
  if (checked.sha256.empty() || found == checked.sha256) return absl::OkStatus();
  return NoteDamage(file, absl::DataLossError(absl::StrCat(
                              checked.path, ": its SHA-256 differs from the record's")));
}

absl::Status AverageInputs::NoteDamage(size_t file, absl::Status reason) {
  files_[file].damaged |= !files_[file].sha256.empty();
  return reason;
}

void AverageInputs::BeginUse(const std::string& header) {
  for (File& file : files_) {
    file.next = static_cast<int64_t>(header.size());
    file.crc32c = Crc32c(header);
  }
}

absl::Status AverageInputs::EndUse() {
  absl::Status first;
  for (size_t k = 0; k < files_.size(); ++k) {
    File& file = files_[k];
    if (file.damaged) continue;
    std::optional<InputFile> opened;
    const InputFile* input = nullptr;
    absl::Status status = Open(&file, &opened, &input);
    if (status.ok()) status = Advance(&file, *input, file.size);
    if (status.ok() && file.crc32c != file.checked_crc32c) {
      status = NoteDamage(k, absl::DataLossError(absl::StrCat(
                                 file.path, " gave other bytes than when it was checked")));
    }
    if (first.ok()) first = status;
  }
  return first;
}

absl::Status AverageInputs::Judge(File* file, absl::Status status) {
  // The cause is rights, or what has taken the file's place: a person can mend it.
  const bool mendable = absl::IsFailedPrecondition(status) || absl::IsInvalidArgument(status);
  if (mendable && !file->made_anew) return absl::UnavailableError(status.message());
  if (mendable || absl::IsNotFound(status)) status = absl::DataLossError(status.message());
  file->damaged |= absl::IsDataLoss(status) && !file->sha256.empty();
  return status;
}

absl::Status AverageInputs::Open(File* file, std::optional<InputFile>* opened,
                                 const InputFile** input) {
  if (file->damaged) return absl::DataLossError(absl::StrCat(file->path, " is damaged"));
  if (!file->open.has_value()) {
    absl::StatusOr<InputFile> found = InputFile::Open(file->path);
    if (!found.ok()) return Judge(file, found.status());
    std::optional<InputFile>& place = open_count_ < most_open_ ? file->open : *opened;
    open_count_ += &place == &file->open ? 1 : 0;
    place.emplace(*std::move(found));
  }
  *input = file->open.has_value() ? &*file->open : &**opened;
  return absl::OkStatus();
}

absl::Status AverageInputs::Advance(File* file, const InputFile& input, int64_t offset) {
  std::string skipped;
  while (file->next < offset) {
    skipped.resize(static_cast<size_t>(std::min(kStepBytes, offset - file->next)));
    DISTILLERY_RETURN_IF_ERROR(Judge(
        file, input.ReadAt(file->next, static_cast<int64_t>(skipped.size()), skipped.data())));
    Count(file, skipped);
  }
  return absl::OkStatus();
}

void AverageInputs::Count(File* file, const std::string& bytes) {
  file->next += static_cast<int64_t>(bytes.size());
  file->crc32c = Crc32c(bytes, file->crc32c);
  if (file->digest != nullptr) file->digest->Update(bytes);
}

}  // namespace distillery
