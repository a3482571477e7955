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
#include "common/rpc/connection.h"
#include "common/run/run_spec.h"
#include "common/run/task.h"
#include "common/weights/weights.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// A leased task; see LeaseTaskResponse.
struct WorkerTask {
  Lease lease;
  RunSpec spec;
  std::string weights_sha256;
  std::string model_card_sha256;
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
  // The SHA-256 of the float32 weights; `weights` are rounded if they came in another encoding.
  std::string sha256;
  std::string encoding;
  std::vector<std::string> buffer_names;
  std::string model_card;
};

// What has come of a download that broke off.
struct PartialDownload {
  std::string sha256;
  std::string file;
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
  std::string delta_encoding;
  std::vector<int64_t> samples_per_shard;
};

class CoordinatorClient {
 public:
  CoordinatorClient(std::shared_ptr<Connection> connection, CallCanceller* canceller);
  CoordinatorClient(std::shared_ptr<grpc::Channel> channel, CallCanceller* canceller);

  struct Registration {
    std::string worker_id;
    absl::Duration lease_duration;
  };
  absl::StatusOr<Registration> RegisterWorker(const std::string& request_id,
                                              const std::string& name,
                                              const std::string& fingerprint,
                                              const std::string& numerics,
                                              int64_t memory_bytes = 0);
  absl::StatusOr<LeasedWork> LeaseTask(const std::string& request_id, const std::string& worker_id,
                                       absl::Duration max_wait);
  // What a LeaseTask of this request was given, if the call was cut off before it said so; else a
  // task that is there, or none. Not cancellable: a stopping worker gives it back.
  absl::StatusOr<LeasedWork> LeaseOfRequest(const std::string& request_id,
                                            const std::string& worker_id);
  absl::Status RenewLease(const Lease& lease, int64_t sample_count, const std::string& waiting_for);
  absl::Status ReleaseTask(const std::string& request_id, const Lease& lease, bool failed,
                           const std::string& message);
  // round -1: the newest. Verifies chunks, trailer and SHA-256: DATA_LOSS if they differ.
  // UNAVAILABLE: call again with the same `partial`, and it goes on where it broke off. `encoding`:
  // of what travels, "float32" or "float16".
  absl::StatusOr<DownloadedWeights> DownloadWeights(const std::string& run_id, int64_t round,
                                                    PartialDownload* partial = nullptr,
                                                    const std::string& encoding = "float32");
  // The same for weights that were uploaded, by their SHA-256.
  absl::StatusOr<DownloadedWeights> DownloadUploadedWeights(const std::string& sha256,
                                                            PartialDownload* partial = nullptr);
  // `again`: goes on where the last call with this request_id broke off, if that is still known.
  absl::Status UploadDelta(const ResultHeader& header, const std::string& file, bool again);
  // Weights for runs to start from; `file` is canonical.
  absl::Status UploadWeights(const std::string& request_id, const std::string& file, bool again);
  absl::Status ReportEvaluation(const std::string& request_id, const Lease& lease,
                                const EvaluationMetrics& metrics);

 private:
  std::shared_ptr<grpc::Channel> channel() { return connection_->channel(); }
  absl::StatusOr<DownloadedWeights> Download(v1::DownloadWeightsRequest request,
                                             PartialDownload* partial);
  // Bytes of the upload that the coordinator has kept; 0 if it cannot be asked.
  int64_t ReceivedBytes(const std::string& request_id);

  const std::shared_ptr<Connection> connection_;
  CallCanceller* const canceller_;
};

}  // namespace distillery
