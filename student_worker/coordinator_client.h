// The coordinator as a worker sees it, over gRPC. Calls that fail UNAVAILABLE are the caller's to
// repeat; calls with a request_id may be repeated safely.
//
// Threads: safe for all. CancelAll on the canceller ends calls, except ReleaseTask.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/call_canceller.h"
#include "common/run/run_spec.h"
#include "common/run/task.h"
#include "common/weights/weights.h"

namespace distillery {

// A leased task; see LeaseTaskResponse.
struct WorkerTask {
  Lease lease;
  RunSpec spec;
  std::string weights_sha256;
  std::string expected_teacher_digest;
  std::string expected_dataset_digest;
  absl::Duration lease_duration;
};

struct LeasedWork {
  std::optional<WorkerTask> task;
  std::string wanted_numerics;
};

struct DownloadedWeights {
  Weights weights;
  std::string sha256;
  std::vector<std::string> buffer_names;
  std::string model_card;
};

// What goes with the bytes of a result; see DeltaHeader.
struct ResultHeader {
  std::string request_id;
  Lease lease;
  TrainMetrics metrics;
  std::vector<std::string> buffer_names;
  std::string teacher_digest;
  std::string dataset_digest;
  std::string model_card;
};

class CoordinatorClient {
 public:
  CoordinatorClient(std::shared_ptr<grpc::Channel> channel, CallCanceller* canceller);

  struct Registration {
    std::string worker_id;
    absl::Duration lease_duration;
  };
  absl::StatusOr<Registration> RegisterWorker(const std::string& request_id,
                                              const std::string& name,
                                              const std::string& fingerprint,
                                              const std::string& numerics);
  absl::StatusOr<LeasedWork> LeaseTask(const std::string& request_id,
                                       const std::string& worker_id, absl::Duration max_wait);
  absl::Status RenewLease(const Lease& lease, int64_t sample_count,
                          const std::string& waiting_for);
  absl::Status ReleaseTask(const Lease& lease, bool failed, const std::string& message);
  // round -1: the newest. Verifies trailer and SHA-256: DATA_LOSS if they differ.
  absl::StatusOr<DownloadedWeights> DownloadWeights(const std::string& run_id, int64_t round);
  absl::Status UploadDelta(const ResultHeader& header, const std::string& file);
  absl::Status ReportEvaluation(const std::string& request_id, const Lease& lease,
                                const EvaluationMetrics& metrics);

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  CallCanceller* const canceller_;
};

}  // namespace distillery
