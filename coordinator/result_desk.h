// Where results of tasks come in: uploads of weights and deltas, and evaluations.
//
// Threads: safe for all. All but Check block for the disk.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/ledger.h"
#include "coordinator/upload_header.h"

namespace distillery {

class ResultDesk {
 public:
  // The ledger must outlive this.
  explicit ResultDesk(Ledger& ledger) : ledger_(ledger) {}

  // The parts of an upload; DeltaUpload (delta_upload.h) drives them.
  //
  // INVALID_ARGUMENT for figures that do not follow from the run's plan; this counts against the
  // worker, as in Evaluate.
  absl::StatusOr<UploadPlan> Plan(const UploadHeader& header);
  // Whether a result under this lease would still be looked at.
  absl::Status Check(const std::string& request_id, const Lease& lease);
  // Takes the checked and synced file at `path`. True: it was recorded before.
  absl::StatusOr<bool> Commit(const UploadHeader& header, const std::string& path,
                              const std::string& sha256);

  // True: it was recorded before.
  absl::StatusOr<bool> Evaluate(const std::string& request_id, const Lease& lease,
                                const EvaluationMetrics& metrics);
  // The worker sent what no correct worker sends; `reason` as for Count::kRejectedDeltas.
  void NoteBad(const Lease& lease, const std::string& reason, const absl::Status& status);
  // Results of slower workers that are still not in are not compared any more after a while.
  void ForgetSuperseded();

 private:
  // kSuperseded: another worker's result of the same task was taken; this one is compared with it.
  enum class Standing { kOpen, kDuplicate, kSuperseded };
  struct Superseded {
    Lease lease;
    // The SHA-256 of the result that was taken.
    std::string delta_sha256;
    absl::Duration until;
  };
  // Whether a result may be recorded for the task: kDuplicate if this request was.
  absl::StatusOr<Standing> CheckResult(const std::string& request_id, const Lease& lease)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  absl::StatusOr<UploadPlan> PlaceUpload(const UploadHeader& header)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  // Checks the figures of a training task, and its number of samples against the run's plan.
  absl::Status CheckFigures(const UploadHeader& header);
  // The result of a worker that was slower than another.
  absl::Status CompareSuperseded(const Lease& lease, const std::string& sha256)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  // Records a file that has its place: `spool_name`, or W_0's, with its model card. As Commit.
  absl::StatusOr<bool> RecordResult(const UploadHeader& header, const std::string& spool_name,
                                    const std::string& sha256, const std::string& card_sha256)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());

  Ledger& ledger_;
  // By fencing token.
  std::map<int64_t, Superseded> superseded_ ABSL_GUARDED_BY(ledger_.mutex());
};

}  // namespace distillery
