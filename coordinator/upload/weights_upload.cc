#include "coordinator/upload/weights_upload.h"

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/weights/tensor_source.h"
#include "coordinator/state/file_check.h"
#include "coordinator/upload/weights_scan.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<WeightsUpload>> WeightsUpload::Begin(Coordinator* coordinator,
                                                                    const WeightsHeader& header) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", header.request_id, 64));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string path,
                              coordinator->weights().PlanUpload(header.byte_count, header.sha256));
  const bool duplicate = coordinator->weights().OpenUploaded(header.sha256).ok();
  DISTILLERY_ASSIGN_OR_RETURN(auto incoming,
                              IncomingFile::Create(duplicate ? "" : path, header.byte_count));
  return std::unique_ptr<WeightsUpload>(
      new WeightsUpload(coordinator, header, duplicate, std::move(incoming)));
}

std::string WeightsUpload::IdentityOf(const WeightsHeader& header) {
  return absl::StrCat("weights ", header.sha256, " ", header.byte_count);
}

absl::StatusOr<bool> WeightsUpload::Take(const std::function<bool()>& cancelled) {
  if (duplicate_) return true;
  OutputFile& file = incoming().file();
  {
    const absl::Status same = CheckFileSha256(file.path(), sha256_);
    if (absl::IsDataLoss(same)) {
      return absl::DataLossError("header.sha256 differs from that of the bytes received");
    }
    DISTILLERY_RETURN_IF_ERROR(same);
    DISTILLERY_ASSIGN_OR_RETURN(const TensorSource weights,
                                TensorSource::OpenFile(file.path(), cancelled));
    if (!weights.layout().canonical()) {
      return absl::InvalidArgumentError(
          "weights: not in canonical form (names sorted, no metadata, no gaps)");
    }
    DISTILLERY_RETURN_IF_ERROR(CheckFinite(weights));
  }
  DISTILLERY_RETURN_IF_ERROR(coordinator_->NoteWrite(file.Sync()));
  DISTILLERY_RETURN_IF_ERROR(coordinator_->weights().CommitUpload(file.path(), sha256_));
  DISTILLERY_RETURN_IF_ERROR(file.Keep());
  return false;
}

}  // namespace distillery
