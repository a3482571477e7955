// The gRPC skin of Coordinator: unpacks, makes one domain call, packs. Blocking work runs on its
// own pools; reactors never block.
#pragma once

#include "common/base/task_pool.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/stream_watch.h"
#include "coordinator/coordinator.h"
#include "coordinator/request_ledger.h"
#include "coordinator/rpc/upload_service.h"
#include "coordinator/upload/parked_uploads.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// Methods that carry weights take and give messages as bytes, so that these are not copied.
class CoordinatorServiceImpl final
    : public v1::CoordinatorService::WithRawCallbackMethod_DownloadWeights<
          v1::CoordinatorService::WithRawCallbackMethod_UploadDelta<
              v1::CoordinatorService::WithRawCallbackMethod_UploadWeights<
                  v1::CoordinatorService::CallbackService>>> {
 public:
  struct Options {
    // A client that neither reads nor sends for so long loses its stream.
    absl::Duration stream_idle_limit = absl::Seconds(60);
    // Watches, downloads and uploads of weights to start from that one client may have, of each
    // kind.
    int64_t max_streams_per_client = 1024;
  };
  // The coordinator must outlive the service. Shut the server down before destroying this.
  CoordinatorServiceImpl(Coordinator* coordinator, const Options& options);
  explicit CoordinatorServiceImpl(Coordinator* coordinator)
      : CoordinatorServiceImpl(coordinator, Options()) {}

  using Context = grpc::CallbackServerContext;
  grpc::ServerUnaryReactor* SubmitRun(Context* context, const v1::SubmitRunRequest* request,
                                      v1::SubmitRunResponse* response) override;
  grpc::ServerUnaryReactor* GetRun(Context* context, const v1::GetRunRequest* request,
                                   v1::GetRunResponse* response) override;
  grpc::ServerUnaryReactor* ListRuns(Context* context, const v1::ListRunsRequest* request,
                                     v1::ListRunsResponse* response) override;
  grpc::ServerUnaryReactor* ListLeases(Context* context, const v1::ListLeasesRequest* request,
                                       v1::ListLeasesResponse* response) override;
  grpc::ServerUnaryReactor* ListWorkers(Context* context, const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* CancelRun(Context* context, const v1::CancelRunRequest* request,
                                      v1::CancelRunResponse* response) override;
  grpc::ServerUnaryReactor* DeleteRun(Context* context, const v1::DeleteRunRequest* request,
                                      v1::DeleteRunResponse* response) override;
  grpc::ServerUnaryReactor* PauseRun(Context* context, const v1::PauseRunRequest* request,
                                     v1::PauseRunResponse* response) override;
  grpc::ServerUnaryReactor* ResumeRun(Context* context, const v1::ResumeRunRequest* request,
                                      v1::ResumeRunResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchRunResponse>* WatchRun(
      Context* context, const v1::WatchRunRequest* request) override;
  grpc::ServerUnaryReactor* RegisterWorker(Context* context,
                                           const v1::RegisterWorkerRequest* request,
                                           v1::RegisterWorkerResponse* response) override;
  grpc::ServerUnaryReactor* LeaseTask(Context* context, const v1::LeaseTaskRequest* request,
                                      v1::LeaseTaskResponse* response) override;
  grpc::ServerUnaryReactor* RenewLease(Context* context, const v1::RenewLeaseRequest* request,
                                       v1::RenewLeaseResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseTask(Context* context, const v1::ReleaseTaskRequest* request,
                                        v1::ReleaseTaskResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* DownloadWeights(
      Context* context, const grpc::ByteBuffer* request) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* UploadDelta(Context* context,
                                                         grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetUpload(Context* context, const v1::GetUploadRequest* request,
                                      v1::GetUploadResponse* response) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* UploadWeights(Context* context,
                                                           grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ReportEvaluation(Context* context,
                                             const v1::ReportEvaluationRequest* request,
                                             v1::ReportEvaluationResponse* response) override;

  // Ends the streams whose clients do nothing; for tests with another clock.
  void EndIdleStreams() { streams_.EndIdle(); }

 private:
  // Runs `call` on the pool and finishes the rpc with its status.
  grpc::ServerUnaryReactor* Unary(Context* context, TaskPool* pool,
                                  std::function<absl::Status()> call);
  grpc::ServerUnaryReactor* Unary(Context* context, std::function<absl::Status()> call) {
    return Unary(context, &control_, std::move(call));
  }
  // The same for a call that must not take effect twice: `call` is told whether this request was
  // answered before. INVALID_ARGUMENT if its request_id was used for another request.
  template <typename Request>
  grpc::ServerUnaryReactor* Once(Context* context, const Request* request,
                                 std::function<absl::Status(bool repeated)> call);
  // The same in the calling thread. `request` is compared with the one before.
  template <typename Request>
  absl::Status CallOnce(const Request& request,
                        const std::function<absl::Status(bool repeated)>& call);
  // The same for a call that puts a run into a state; a retry only shows the run.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* ChangeRun(
      Context* context, const Request* request, Response* response,
      absl::StatusOr<RunView> (RunDesk::*change)(const std::string& run_id));
  UploadContext UploadOf(Context* context);
  // LeaseDesk::CheckCaller with the caller's certificate.
  absl::Status CheckCaller(Context* context, const std::string& worker_id);

  Coordinator* const coordinator_;
  // Uploads under way give their places back, so these come first.
  ClientLimits watch_limits_;
  ClientLimits download_limits_;
  ClientLimits weights_limits_;
  ClientLimits lease_limits_;
  ParkedUploads parked_;
  StreamWatch streams_;
  RequestLedger requests_;
  // Requests of LeaseTask alone: it is called so often that they would soon push the others out.
  RequestLedger lease_requests_;
  // For RenewLease alone, which waits for no disk: others may all be waiting for it.
  TaskPool renewals_;
  TaskPool control_;
  TaskPool bulk_;
};

}  // namespace distillery
