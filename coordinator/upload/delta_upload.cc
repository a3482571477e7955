#include "coordinator/upload/delta_upload.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/status_macros.h"
#include "common/weights/delta_encoding.h"
#include "common/weights/layout.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<DeltaUpload>> DeltaUpload::Begin(Coordinator* coordinator,
                                                                UploadHeader header) {
  DISTILLERY_ASSIGN_OR_RETURN(UploadPlan plan, coordinator->results().Plan(header));
  DISTILLERY_ASSIGN_OR_RETURN(
      std::unique_ptr<IncomingFile> incoming,
      IncomingFile::Create(plan.duplicate ? "" : plan.incoming_path, header.byte_count));
  WeightsLayout expected;
  if (plan.has_layout) {
    DISTILLERY_ASSIGN_OR_RETURN(expected,
                                coordinator->weights().LayoutOf(header.lease.task.run_id));
  }
  return std::unique_ptr<DeltaUpload>(new DeltaUpload(
      coordinator, std::move(header), std::move(plan), std::move(expected), std::move(incoming)));
}

std::string DeltaUpload::IdentityOf(const UploadHeader& header) {
  return absl::StrCat(header.lease.task.ToString(), " ", header.lease.fencing_token, " ",
                      header.lease.worker_id, " ", header.byte_count, " ", header.delta_encoding);
}

void DeltaUpload::Look(absl::string_view data) {
  // An encoded delta is looked at once it is decoded.
  if (!plan_.duplicate && plan_.encoding == DeltaEncoding::kFloat32) scan_.Update(data);
}

absl::StatusOr<bool> DeltaUpload::Take(const std::function<bool()>& cancelled) {
  if (plan_.duplicate) return true;
  std::unique_ptr<OutputFile> decoded;
  OutputFile* file = &incoming().file();
  if (plan_.encoding != DeltaEncoding::kFloat32) {
    absl::StatusOr<std::unique_ptr<OutputFile>> taken = Decode(file->path());
    if (!taken.ok()) return NoteBad(coordinator_->NoteWrite(taken.status()));
    decoded = *std::move(taken);
    file = decoded.get();
  }
  if (const absl::Status status = CheckContent(file->path(), cancelled); !status.ok()) {
    return NoteBad(status);
  }
  DISTILLERY_FAILPOINT("coordinator.spool.written");
  DISTILLERY_RETURN_IF_ERROR(coordinator_->NoteWrite(file->Sync()));
  // The coordinator renames the file when it takes it; what it does not take is unlinked here.
  absl::StatusOr<bool> taken =
      coordinator_->results().Commit(header_, file->path(), scan_.HexDigest());
  if (taken.ok() && !*taken) DISTILLERY_RETURN_IF_ERROR(file->Keep());
  return taken;
}

absl::Status DeltaUpload::NoteBad(const absl::Status& status) const {
  if (absl::IsFailedPrecondition(status)) {
    coordinator_->results().NoteBad(header_.lease, "layout", status);
  } else if (absl::IsInvalidArgument(status)) {
    const bool finite = !absl::StrContains(status.message(), "holds NaN");
    coordinator_->results().NoteBad(header_.lease, finite ? "malformed" : "non_finite", status);
  }
  return status;
}

absl::StatusOr<std::unique_ptr<OutputFile>> DeltaUpload::Decode(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const TensorSource encoded, TensorSource::OpenFile(path));
  DISTILLERY_ASSIGN_OR_RETURN(auto decoded,
                              OutputFile::Create(plan_.decoded_path, Readers::kOwner));
  DISTILLERY_RETURN_IF_ERROR(DecodeDelta(encoded, expected_, plan_.buffer_names, plan_.encoding,
                                         [&](absl::string_view bytes) {
                                           scan_.Update(bytes);
                                           return decoded->Append(bytes);
                                         }));
  return decoded;
}

absl::Status DeltaUpload::CheckContent(const std::string& path,
                                       const std::function<bool()>& cancelled) const {
  // Only the header of a delta is read.
  DISTILLERY_ASSIGN_OR_RETURN(const TensorSource weights, TensorSource::OpenFile(path, cancelled));
  const WeightsLayout& layout = weights.layout();
  const bool initialise = !plan_.has_layout;
  if (!initialise) DISTILLERY_RETURN_IF_ERROR(CheckSameLayout(expected_, layout));
  if (!layout.canonical()) {
    return absl::InvalidArgumentError(
        "weights: not in canonical form (names sorted, no metadata, no gaps)");
  }
  if (!initialise) return scan_.finite();
  const std::set<absl::string_view> buffers(header_.buffer_names.begin(),
                                            header_.buffer_names.end());
  for (const TensorSpec& tensor : layout.tensors()) {
    if (buffers.count(tensor.name) == 0 && tensor.type != ElementType::kFloat32 &&
        tensor.type != ElementType::kFloat64) {
      return absl::InvalidArgumentError(absl::StrCat("weights: parameter \"", tensor.name, "\" is ",
                                                     SpecOf(tensor.type).name,
                                                     "; parameters are F32 or F64"));
    }
  }
  return CheckFinite(weights);
}

}  // namespace distillery
