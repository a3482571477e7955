#include "coordinator/state/file_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/input_file.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::Status CheckFileSha256(const std::string& path, const std::string& sha256, int64_t* bytes) {
  constexpr int64_t kStep = 4 << 20;
  const auto file = InputFile::Open(path);
  if (absl::IsNotFound(file.status())) {
    return absl::DataLossError(absl::StrCat(path, " is missing"));
  }
  if (!file.ok()) return file.status();
  Sha256 digest;
  std::string piece;
  for (int64_t at = 0; at < file->size(); at += kStep) {
    piece.resize(static_cast<size_t>(std::min(kStep, file->size() - at)));
    DISTILLERY_RETURN_IF_ERROR(file->ReadAt(at, static_cast<int64_t>(piece.size()), piece.data()));
    digest.Update(piece);
  }
  if (bytes != nullptr) *bytes += file->size();
  if (digest.HexDigest() == sha256) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": its SHA-256 differs from the record's"));
}

}  // namespace distillery
