#include "coordinator/coordinator_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/stream_service.h"
#include "coordinator/upload_service.h"
#include "coordinator/view_service.h"

namespace distillery {
namespace {

// More than processors: each waits for the disk now and then, and those that wait share one sync.
constexpr int kControlThreads = 16;
constexpr int kBulkThreads = 8;
constexpr double kLongestWaitSeconds = 60;

constexpr int32_t kLargestPage = 1000;

// What part of a list is asked for: what comes after the number `token`; 0: from the start.
struct Page {
  int64_t token = 0;
  int64_t size = 0;
};

template <typename Request>
absl::StatusOr<Page> PageOf(const Request& request, int64_t default_size, absl::string_view rpc) {
  Page page;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &page.token) || page.token < 1)) {
    return absl::InvalidArgumentError(absl::StrCat("page_token is not from ", rpc));
  }
  if (request.page_size() < 0 || request.page_size() > kLargestPage) {
    return absl::InvalidArgumentError(absl::StrCat("page_size must be 0 to ", kLargestPage));
  }
  page.size = request.page_size() == 0 ? default_size : request.page_size();
  return page;
}

// LeaseTask waits in the domain, not on a thread; a client that goes away ends the wait.
class LeaseReactor : public grpc::ServerUnaryReactor {
 public:
  LeaseReactor(Coordinator* coordinator, v1::LeaseTaskResponse* response)
      : coordinator_(coordinator), shared_(std::make_shared<Shared>()), response_(response) {}

  void Start(const v1::LeaseTaskRequest& request) {
    const double wait = std::clamp(request.max_wait_seconds(), 0.0, kLongestWaitSeconds);
    // Once `done` is called this may be gone; these are not.
    const auto shared = shared_;
    Coordinator* const coordinator = coordinator_;
    const int64_t id = coordinator->LeaseTask(
        request.request_id(), request.worker_id(), absl::Seconds(wait),
        [this](absl::StatusOr<LeaseAnswer> answer) { Done(std::move(answer)); });
    bool cancelled = false;
    {
      MutexLock lock(shared->mutex);
      shared->wait_id = id;
      cancelled = shared->cancelled;
    }
    if (cancelled && id != 0) coordinator->CancelWait(id);
  }

  void OnCancel() override {
    int64_t id = 0;
    {
      MutexLock lock(shared_->mutex);
      shared_->cancelled = true;
      id = shared_->wait_id;
    }
    if (id != 0) coordinator_->CancelWait(id);
  }
  void OnDone() override { delete this; }

 private:
  struct Shared {
    Mutex mutex;
    int64_t wait_id ABSL_GUARDED_BY(mutex) = 0;
    bool cancelled ABSL_GUARDED_BY(mutex) = false;
  };

  void Done(absl::StatusOr<LeaseAnswer> answer) {
    if (answer.ok()) {
      response_->set_lease_duration_seconds(absl::ToDoubleSeconds(coordinator_->lease_duration()));
      response_->set_wanted_numerics(answer->wanted_numerics);
      if (answer->grant.has_value()) {
        const TaskGrant& grant = *answer->grant;
        *response_->mutable_lease() = ToProto(grant.lease);
        *response_->mutable_spec() = ToProto(grant.spec);
        response_->set_weights_sha256(grant.weights_sha256);
        response_->set_model_card_sha256(grant.model_card_sha256);
        response_->set_expected_teacher_digest(grant.expected_teacher_digest);
        response_->set_expected_dataset_digest(grant.expected_dataset_digest);
      }
    }
    Finish(ToGrpcStatus(answer.status(), coordinator_->state_dir()));
  }

  Coordinator* const coordinator_;
  const std::shared_ptr<Shared> shared_;
  v1::LeaseTaskResponse* const response_;
};

}  // namespace

CoordinatorServiceImpl::CoordinatorServiceImpl(Coordinator* coordinator)
    : coordinator_(coordinator),
      parked_(coordinator->clock()),
      control_(kControlThreads),
      bulk_(kBulkThreads) {}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::Unary(Context* context,
                                                        std::function<absl::Status()> call) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  control_.Add([this, reactor, call = std::move(call)] {
    reactor->Finish(ToGrpcStatus(call(), coordinator_->state_dir()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::SubmitRun(Context* context,
                                                            const v1::SubmitRunRequest* request,
                                                            v1::SubmitRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunSpec spec, SubmittedSpec(request->spec()));
    DISTILLERY_ASSIGN_OR_RETURN(const RunView view,
                                coordinator_->SubmitRun(request->request_id(), spec));
    FillRun(view, response->mutable_run());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::GetRun(Context* context,
                                                         const v1::GetRunRequest* request,
                                                         v1::GetRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunView view, coordinator_->GetRun(request->run_id()));
    FillRun(view, response->mutable_run());
    if (!request->include_rounds()) return absl::OkStatus();
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<RoundView> rounds,
                                coordinator_->GetRounds(request->run_id()));
    for (const RoundView& round : rounds) FillRound(round, response->add_rounds());
    if (view.latest_evaluation.has_value()) {
      *response->mutable_run()->mutable_latest_evaluation() = ToProto(*view.latest_evaluation);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ListRuns(Context* context,
                                                           const v1::ListRunsRequest* request,
                                                           v1::ListRunsResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    constexpr int32_t kDefaultPage = 100;
    DISTILLERY_ASSIGN_OR_RETURN(const Page page, PageOf(*request, kDefaultPage, "ListRuns"));
    const std::vector<RunView> views = coordinator_->ListRuns(page.token, page.size);
    for (const RunView& view : views) FillRun(view, response->add_runs());
    if (static_cast<int64_t>(views.size()) == page.size && views.back().row.number > 1) {
      response->set_next_page_token(absl::StrCat(views.back().row.number));
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ListLeases(Context* context,
                                                             const v1::ListLeasesRequest* request,
                                                             v1::ListLeasesResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Page page, PageOf(*request, kLargestPage, "ListLeases"));
    DISTILLERY_ASSIGN_OR_RETURN(
        const std::vector<LeaseView> views,
        coordinator_->ListLeases(request->run_id(), page.token, page.size));
    for (const LeaseView& view : views) FillLease(view, response->add_leases());
    if (static_cast<int64_t>(views.size()) == page.size) {
      response->set_next_page_token(absl::StrCat(views.back().row.lease.fencing_token));
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ListWorkers(
    Context* context, const v1::ListWorkersRequest* /*request*/,
    v1::ListWorkersResponse* response) {
  // One message, below its limit of 4 MiB.
  constexpr int64_t kMostWorkers = 5000;
  return Unary(context, [=] {
    for (const WorkerView& view : coordinator_->ListWorkers(kMostWorkers)) {
      FillWorker(view, response->add_workers());
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::CancelRun(Context* context,
                                                            const v1::CancelRunRequest* request,
                                                            v1::CancelRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunView view, coordinator_->CancelRun(request->run_id()));
    FillRun(view, response->mutable_run());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::DeleteRun(
    Context* context, const v1::DeleteRunRequest* request, v1::DeleteRunResponse* /*response*/) {
  return Unary(context, [=] { return coordinator_->DeleteRun(request->run_id()); });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::PauseRun(Context* context,
                                                           const v1::PauseRunRequest* request,
                                                           v1::PauseRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunView view, coordinator_->PauseRun(request->run_id()));
    FillRun(view, response->mutable_run());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ResumeRun(Context* context,
                                                            const v1::ResumeRunRequest* request,
                                                            v1::ResumeRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunView view, coordinator_->ResumeRun(request->run_id()));
    FillRun(view, response->mutable_run());
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::WatchRunResponse>* CoordinatorServiceImpl::WatchRun(
    Context* /*context*/, const v1::WatchRunRequest* request) {
  return StartWatch(coordinator_, request->run_id());
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::RegisterWorker(
    Context* context, const v1::RegisterWorkerRequest* request,
    v1::RegisterWorkerResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(
        const WorkerRow worker,
        coordinator_->RegisterWorker(request->request_id(), request->name(),
                                     request->numerics_fingerprint(), request->numerics()));
    response->set_worker_id(worker.worker_id);
    response->set_lease_duration_seconds(absl::ToDoubleSeconds(coordinator_->lease_duration()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::LeaseTask(Context* /*context*/,
                                                            const v1::LeaseTaskRequest* request,
                                                            v1::LeaseTaskResponse* response) {
  auto* const reactor = new LeaseReactor(coordinator_, response);
  control_.Add([reactor, request] { reactor->Start(*request); });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::RenewLease(Context* context,
                                                             const v1::RenewLeaseRequest* request,
                                                             v1::RenewLeaseResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Lease lease, FromProto(request->lease()));
    DISTILLERY_RETURN_IF_ERROR(
        coordinator_->RenewLease(lease, request->sample_count(), request->waiting_for()));
    response->set_lease_duration_seconds(absl::ToDoubleSeconds(coordinator_->lease_duration()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ReleaseTask(
    Context* context, const v1::ReleaseTaskRequest* request,
    v1::ReleaseTaskResponse* /*response*/) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Lease lease, FromProto(request->lease()));
    if (request->reason() != v1::RELEASE_REASON_STOPPING &&
        request->reason() != v1::RELEASE_REASON_FAILED) {
      return absl::InvalidArgumentError("reason must be stopping or failed");
    }
    return coordinator_->ReleaseTask(lease, request->reason() == v1::RELEASE_REASON_FAILED,
                                     request->message(), request->request_id());
  });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* CoordinatorServiceImpl::DownloadWeights(
    Context* /*context*/, const grpc::ByteBuffer* request) {
  return StartDownload(coordinator_, *request, &bulk_);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* CoordinatorServiceImpl::UploadDelta(
    Context* /*context*/, grpc::ByteBuffer* response) {
  return StartDeltaUpload({coordinator_, &parked_, &bulk_}, response);
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::GetUpload(Context* context,
                                                            const v1::GetUploadRequest* request,
                                                            v1::GetUploadResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request->request_id(), 64));
    response->set_received_byte_count(parked_.ReceivedBytes(request->request_id()));
    return absl::OkStatus();
  });
}

grpc::ServerReadReactor<grpc::ByteBuffer>* CoordinatorServiceImpl::UploadWeights(
    Context* /*context*/, grpc::ByteBuffer* response) {
  return StartWeightsUpload({coordinator_, &parked_, &bulk_}, response);
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ReportEvaluation(
    Context* context, const v1::ReportEvaluationRequest* request,
    v1::ReportEvaluationResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Lease lease, FromProto(request->lease()));
    DISTILLERY_ASSIGN_OR_RETURN(
        const bool duplicate,
        coordinator_->ReportEvaluation(request->request_id(), lease,
                                       FromProto(request->metrics())));
    response->set_duplicate(duplicate);
    return absl::OkStatus();
  });
}

}  // namespace distillery
