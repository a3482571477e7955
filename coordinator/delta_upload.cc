#include "coordinator/delta_upload.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"
#include "common/weights/layout.h"
#include "coordinator/average.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<DeltaUpload>> DeltaUpload::Begin(Coordinator* coordinator,
                                                                UploadHeader header) {
  DISTILLERY_ASSIGN_OR_RETURN(Coordinator::UploadPlan plan, coordinator->PlanUpload(header));
  std::unique_ptr<DeltaUpload> upload(
      new DeltaUpload(coordinator, std::move(header), std::move(plan)));
  if (!upload->plan_.duplicate) {
    DISTILLERY_ASSIGN_OR_RETURN(upload->file_, OutputFile::Create(upload->plan_.incoming_path));
  }
  return upload;
}

absl::Status DeltaUpload::Append(int64_t offset, absl::string_view data) {
  if (offset != bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk.offset is ", offset, ", the next byte is ", bytes_));
  }
  if (data.empty() || static_cast<int64_t>(data.size()) > header_.byte_count - bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("chunk.data has ", data.size(), " bytes, ",
                                                   header_.byte_count - bytes_, " are left"));
  }
  ++chunks_;
  bytes_ += static_cast<int64_t>(data.size());
  crc_ = Crc32c(data, crc_);
  return plan_.duplicate ? absl::OkStatus() : file_->Append(data);
}

absl::StatusOr<bool> DeltaUpload::Finish(int64_t chunk_count, int64_t byte_count,
                                         uint32_t crc32c) {
  if (chunk_count != chunks_ || byte_count != bytes_ || bytes_ != header_.byte_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("trailer says ", chunk_count, " chunks and ", byte_count, " bytes, header says ",
                     header_.byte_count, " bytes; got ", chunks_, " and ", bytes_));
  }
  if (crc32c != crc_) return absl::DataLossError("trailer.crc32c differs from the bytes received");
  if (plan_.duplicate) return true;
  std::string sha256;
  {
    DISTILLERY_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(file_->path()));
    DISTILLERY_RETURN_IF_ERROR(CheckContent(mapped->bytes()));
    sha256 = Sha256Hex(mapped->bytes());
  }
  DISTILLERY_RETURN_IF_ERROR(file_->Sync());
  // The coordinator renames the file when it takes it; what it does not take is unlinked here.
  absl::StatusOr<bool> taken = coordinator_->CommitUpload(header_, file_->path(), sha256);
  if (taken.ok() && !*taken) DISTILLERY_RETURN_IF_ERROR(file_->Keep());
  return taken;
}

absl::Status DeltaUpload::CheckContent(absl::string_view file) const {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout layout, WeightsLayout::Parse(file));
  if (!plan_.expected_layout_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(const auto mapped, MappedFile::Open(plan_.expected_layout_path));
    DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout expected,
                                WeightsLayout::Parse(mapped->bytes()));
    DISTILLERY_RETURN_IF_ERROR(CheckSameLayout(expected, layout));
  }
  if (!layout.canonical()) {
    return absl::InvalidArgumentError(
        "weights: not in canonical form (names sorted, no metadata, no gaps)");
  }
  for (const TensorSpec& tensor : layout.tensors()) {
    const bool buffer = std::find(header_.buffer_names.begin(), header_.buffer_names.end(),
                                  tensor.name) != header_.buffer_names.end();
    if (plan_.expected_layout_path.empty() && !buffer &&
        tensor.type != ScalarType::kFloat32 && tensor.type != ScalarType::kFloat64) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: parameter \"", tensor.name, "\" is ",
                       ScalarTypeName(tensor.type), "; parameters are F32 or F64"));
    }
  }
  return CheckFinite(layout, file);
}

}  // namespace distillery
