// The upload of a task's result: checks layout and values, decodes the delta to float32, and hands
// the synced file to the coordinator. What it can it does while the bytes come in, so that memory
// holds no more of the file than a chunk, and nobody reads it again before it is averaged.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/weights/layout.h"
#include "coordinator/coordinator.h"
#include "coordinator/upload/upload.h"
#include "coordinator/upload/weights_scan.h"

namespace distillery {

class DeltaUpload : public Upload {
 public:
  // Errors as ResultDesk::Plan.
  static absl::StatusOr<std::unique_ptr<DeltaUpload>> Begin(Coordinator* coordinator,
                                                            UploadHeader header);
  // Equal for headers of one upload.
  static std::string IdentityOf(const UploadHeader& header);

  absl::Status StillWanted() const override {
    return coordinator_->results().Check(header_.request_id, header_.lease);
  }

 protected:
  void Look(absl::string_view data) override;
  // INVALID_ARGUMENT (malformed, NaN or infinity); FAILED_PRECONDITION (layout differs, naming the
  // first tensor); else as CommitUpload.
  absl::StatusOr<bool> Take(const std::function<bool()>& cancelled) override;

 private:
  DeltaUpload(Coordinator* coordinator, UploadHeader header, UploadPlan plan,
              WeightsLayout expected, std::unique_ptr<IncomingFile> incoming)
      : Upload(header.request_id, IdentityOf(header), std::move(incoming)),
        coordinator_(coordinator),
        header_(std::move(header)),
        plan_(std::move(plan)),
        expected_(std::move(expected)),
        scan_(expected_) {}
  // Counts against the worker what no correct one sends; returns the status.
  absl::Status NoteBad(const absl::Status& status) const;
  // The scan has seen the whole file at `path`.
  absl::Status CheckContent(const std::string& path, const std::function<bool()>& cancelled) const;
  // Writes the delta received in `path` as float32 to a file of its own.
  absl::StatusOr<std::unique_ptr<OutputFile>> Decode(const std::string& path);

  Coordinator* const coordinator_;
  const UploadHeader header_;
  const UploadPlan plan_;
  // Without tensors for initialise.
  const WeightsLayout expected_;
  // Looks at the file that is kept.
  WeightsScan scan_;
};

}  // namespace distillery
