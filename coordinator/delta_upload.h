// One upload under way: checks order, sizes and checksums as bytes come in, then layout and values,
// and hands the synced file to the coordinator.
//
// Threads: one at a time. Every method may block for the disk. Dropping it drops what was received.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/coordinator.h"

namespace distillery {

class DeltaUpload {
 public:
  // Errors as Coordinator::PlanUpload.
  static absl::StatusOr<std::unique_ptr<DeltaUpload>> Begin(Coordinator* coordinator,
                                                            UploadHeader header);

  // INVALID_ARGUMENT for a chunk out of order, twice, or beyond the announced size.
  absl::Status Append(int64_t offset, absl::string_view data);
  // The result is on disk and recorded when this returns OK; true: it had been before.
  // INVALID_ARGUMENT (counts differ, malformed, NaN or infinity); DATA_LOSS (crc differs);
  // FAILED_PRECONDITION (layout differs, naming the first tensor); else as CommitUpload.
  absl::StatusOr<bool> Finish(int64_t chunk_count, int64_t byte_count, uint32_t crc32c);

 private:
  DeltaUpload(Coordinator* coordinator, UploadHeader header, Coordinator::UploadPlan plan)
      : coordinator_(coordinator), header_(std::move(header)), plan_(std::move(plan)) {}
  absl::Status CheckContent(absl::string_view file) const;

  Coordinator* const coordinator_;
  const UploadHeader header_;
  const Coordinator::UploadPlan plan_;
  std::unique_ptr<OutputFile> file_;
  int64_t chunks_ = 0;
  int64_t bytes_ = 0;
  uint32_t crc_ = 0;
};

}  // namespace distillery
