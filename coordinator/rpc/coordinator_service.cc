#include "coordinator/rpc/coordinator_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/caller.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/rpc/lease_reactor.h"
#include "coordinator/rpc/run_messages.h"
#include "coordinator/rpc/run_watch.h"
#include "coordinator/rpc/upload_service.h"
#include "coordinator/rpc/weights_stream.h"

namespace distillery {
namespace {

// More than processors: each waits for the disk now and then, and those that wait share one sync.
constexpr int kControlThreads = 16;
constexpr int kRenewalThreads = 2;
constexpr int kBulkThreads = 8;
constexpr char kStreamsFlag[] = "--max-streams-per-client";
// One that is under way, and some whose end has not been noticed yet.
constexpr int64_t kUploadsPerLease = 4;

constexpr int32_t kLargestPage = 1000;
constexpr int32_t kLargestRoundPage = 10'000;
constexpr int32_t kLargestWorkerPage = 5000;

// What an answer's list may hold, so that the whole stays below the limit of 4 MiB of stock
// clients.
constexpr size_t kListBytes = 3 << 20;
// Besides a list, one run may take so much; its spec alone may be larger if an older version took
// it.
constexpr size_t kRunBytes = 3 << 20;

// What part of a list is asked for: what comes after the number `token`; 0: from the start.
struct Page {
  int64_t token = 0;
  int64_t size = 0;
};

template <typename Request>
absl::StatusOr<int64_t> PageSizeOf(const Request& request, int64_t default_size, int64_t largest) {
  if (request.page_size() < 0 || request.page_size() > largest) {
    return absl::InvalidArgumentError(absl::StrCat("page_size must be 0 to ", largest));
  }
  return request.page_size() == 0 ? default_size : request.page_size();
}

template <typename Request>
absl::StatusOr<Page> PageOf(const Request& request, int64_t default_size, int64_t largest,
                            absl::string_view rpc) {
  Page page;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &page.token) || page.token < 1)) {
    return absl::InvalidArgumentError(absl::StrCat("page_token is not from ", rpc));
  }
  DISTILLERY_ASSIGN_OR_RETURN(page.size, PageSizeOf(request, default_size, largest));
  return page;
}

// Adds a filled element to a list while it fits: the first always does. False: it did not.
template <typename List, typename Element>
bool AddIfItFits(Element element, List* list, size_t* bytes) {
  const size_t size = element.ByteSizeLong() + 8;  // its tag and length
  if (!list->empty() && *bytes + size > kListBytes) return false;
  *bytes += size;
  *list->Add() = std::move(element);
  return true;
}

v1::Round RoundProto(const RoundView& view) {
  v1::Round round;
  FillRound(view, &round);
  return round;
}

// So many rounds from the number `first` on, as far as they fit.
absl::Status AddRounds(Coordinator* coordinator, const std::string& run_id, const Page& page,
                       v1::GetRunResponse* response) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<RoundView> rounds,
                              coordinator->runs().Rounds(run_id, page.token, page.size + 1));
  size_t bytes = response->ByteSizeLong();
  for (const RoundView& round : rounds) {
    if (response->rounds_size() == page.size ||
        !AddIfItFits(RoundProto(round), response->mutable_rounds(), &bytes)) {
      response->set_next_page_token(absl::StrCat(page.token + response->rounds_size()));
      break;
    }
  }
  return absl::OkStatus();
}

// The newest rounds that fit, for a client that knows of no pages.
absl::Status AddNewestRounds(Coordinator* coordinator, const std::string& run_id,
                             v1::GetRunResponse* response) {
  const int64_t count = response->run().completed_round_count();
  int64_t first = count;
  size_t bytes = response->ByteSizeLong();
  std::vector<v1::Round> newest;
  for (bool full = false; first > 0 && !full;) {
    const int64_t begin = std::max<int64_t>(0, first - kLargestPage);
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<RoundView> rounds,
                                coordinator->runs().Rounds(run_id, begin, first - begin));
    for (auto round = rounds.rbegin(); round != rounds.rend() && !full; ++round) {
      v1::Round proto = RoundProto(*round);
      bytes += proto.ByteSizeLong() + 8;
      full = bytes > kListBytes;
      if (!full) newest.push_back(std::move(proto));
    }
    first = begin;
  }
  for (auto round = newest.rbegin(); round != newest.rend(); ++round) {
    *response->add_rounds() = std::move(*round);
  }
  response->set_omitted_round_count(static_cast<int32_t>(count - response->rounds_size()));
  return absl::OkStatus();
}

template <typename Request>
std::string DigestOf(const Request& request) {
  return Sha256Hex(
      absl::StrCat(Request::descriptor()->full_name(), "\n", request.SerializeAsString()));
}

}  // namespace

CoordinatorServiceImpl::CoordinatorServiceImpl(Coordinator* coordinator, const Options& options)
    : coordinator_(coordinator),
      watch_limits_("watches", kStreamsFlag, options.max_streams_per_client),
      download_limits_("downloads", kStreamsFlag, options.max_streams_per_client),
      weights_limits_("uploads of weights", kStreamsFlag, options.max_streams_per_client),
      lease_limits_("uploads", "they end with the lease", kUploadsPerLease, "lease"),
      parked_(coordinator->clock()),
      streams_(coordinator->clock(), options.stream_idle_limit, [this] { parked_.DropUnwanted(); }),
      renewals_(kRenewalThreads),
      control_(kControlThreads),
      bulk_(kBulkThreads) {}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::Unary(Context* context, TaskPool* pool,
                                                        std::function<absl::Status()> call) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  pool->Add([this, context, reactor, call = std::move(call)] {
    // It may have waited for its turn, and its client may have left.
    const absl::Status status =
        context->IsCancelled() ? absl::CancelledError("the client went away") : call();
    reactor->Finish(ToGrpcStatus(status, coordinator_->state_dir()));
  });
  return reactor;
}

template <typename Request>
grpc::ServerUnaryReactor* CoordinatorServiceImpl::Once(
    Context* context, const Request* request, std::function<absl::Status(bool repeated)> call) {
  return Unary(context,
               [this, request, call = std::move(call)] { return CallOnce(*request, call); });
}

template <typename Request>
absl::Status CoordinatorServiceImpl::CallOnce(
    const Request& request, const std::function<absl::Status(bool repeated)>& call) {
  // Without an id each call is one of its own.
  if (request.request_id().empty()) return call(/*repeated=*/false);
  // The ledger keeps it.
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request.request_id(), 64));
  const std::string digest = DigestOf(request);
  DISTILLERY_ASSIGN_OR_RETURN(const bool repeated, requests_.Repeats(request.request_id(), digest));
  DISTILLERY_RETURN_IF_ERROR(call(repeated));
  requests_.Note(request.request_id(), digest);
  return absl::OkStatus();
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* CoordinatorServiceImpl::ChangeRun(
    Context* context, const Request* request, Response* response,
    absl::StatusOr<RunView> (RunDesk::*change)(const std::string& run_id)) {
  return Once(context, request, [=](bool repeated) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunView view,
                                repeated ? coordinator_->runs().Get(request->run_id())
                                         : (coordinator_->runs().*change)(request->run_id()));
    FillRun(view, response->mutable_run());
    return absl::OkStatus();
  });
}

absl::Status CoordinatorServiceImpl::CheckCaller(Context* context, const std::string& worker_id) {
  return coordinator_->leases().CheckCaller(worker_id, CertificateNameOf(*context));
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::SubmitRun(Context* context,
                                                            const v1::SubmitRunRequest* request,
                                                            v1::SubmitRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const RunSpec spec, SubmittedSpec(request->spec()));
    // A field that is left unset and its default are the same request.
    v1::SubmitRunRequest plain;
    plain.set_request_id(request->request_id());
    *plain.mutable_spec() = ToProto(spec);
    return CallOnce(plain, [&](bool /*repeated*/) -> absl::Status {
      DISTILLERY_ASSIGN_OR_RETURN(const RunView view,
                                  coordinator_->runs().Submit(request->request_id(), spec));
      FillRun(view, response->mutable_run());
      return absl::OkStatus();
    });
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::GetRun(Context* context,
                                                         const v1::GetRunRequest* request,
                                                         v1::GetRunResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Page page,
                                PageOf(*request, kLargestPage, kLargestRoundPage, "GetRun"));
    const bool first_page = page.token == 0;
    DISTILLERY_ASSIGN_OR_RETURN(
        const RunView view,
        coordinator_->runs().Get(request->run_id(), request->include_rounds() && first_page));
    FillRun(view, response->mutable_run());
    if (!request->include_rounds()) return absl::OkStatus();
    if (first_page && view.latest_evaluation.has_value()) {
      v1::EvaluationMetrics evaluation = ToProto(*view.latest_evaluation);
      if (response->ByteSizeLong() + evaluation.ByteSizeLong() <= kRunBytes) {
        response->mutable_run()->mutable_latest_evaluation()->Swap(&evaluation);
      }
    }
    return first_page && request->page_size() == 0
               ? AddNewestRounds(coordinator_, request->run_id(), response)
               : AddRounds(coordinator_, request->run_id(), page, response);
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ListRuns(Context* context,
                                                           const v1::ListRunsRequest* request,
                                                           v1::ListRunsResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    constexpr int32_t kDefaultPage = 100;
    // Few at a time: a spec may be large.
    constexpr int64_t kStep = 20;
    DISTILLERY_ASSIGN_OR_RETURN(const Page page,
                                PageOf(*request, kDefaultPage, kLargestPage, "ListRuns"));
    size_t bytes = 0;
    int64_t before = page.token;
    bool more = true;
    while (more && response->runs_size() < page.size) {
      const int64_t wanted = std::min(kStep, page.size - response->runs_size());
      const std::vector<RunView> views = coordinator_->runs().List(before, wanted);
      more = static_cast<int64_t>(views.size()) == wanted && views.back().row.number > 1;
      for (const RunView& view : views) {
        v1::Run run;
        FillRun(view, &run);
        if (!AddIfItFits(std::move(run), response->mutable_runs(), &bytes)) {
          response->set_next_page_token(absl::StrCat(before));
          return absl::OkStatus();
        }
        before = view.row.number;
      }
    }
    if (more) response->set_next_page_token(absl::StrCat(before));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ListLeases(Context* context,
                                                             const v1::ListLeasesRequest* request,
                                                             v1::ListLeasesResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Page page,
                                PageOf(*request, kLargestPage, kLargestPage, "ListLeases"));
    DISTILLERY_ASSIGN_OR_RETURN(
        const std::vector<LeaseView> views,
        coordinator_->leases().History(request->run_id(), page.token, page.size));
    size_t bytes = 0;
    for (const LeaseView& view : views) {
      v1::LeaseRecord lease;
      FillLease(view, &lease);
      const bool fits = AddIfItFits(std::move(lease), response->mutable_leases(), &bytes);
      const auto last = static_cast<size_t>(response->leases_size());
      if (!fits || static_cast<int64_t>(last) == page.size) {
        response->set_next_page_token(absl::StrCat(views[last - 1].row.lease.fencing_token));
        break;
      }
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ListWorkers(Context* context,
                                                              const v1::ListWorkersRequest* request,
                                                              v1::ListWorkersResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t page_size,
                                PageSizeOf(*request, kLargestWorkerPage, kLargestWorkerPage));
    const std::vector<WorkerView> views =
        coordinator_->leases().Workers(request->page_token(), page_size + 1);
    size_t bytes = 0;
    for (const WorkerView& view : views) {
      v1::Worker worker;
      FillWorker(view, &worker);
      if (response->workers_size() == page_size ||
          !AddIfItFits(std::move(worker), response->mutable_workers(), &bytes)) {
        const auto last = static_cast<size_t>(response->workers_size()) - 1;
        response->set_next_page_token(LeaseDesk::PlaceOf(views[last].row));
        break;
      }
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::CancelRun(Context* context,
                                                            const v1::CancelRunRequest* request,
                                                            v1::CancelRunResponse* response) {
  return ChangeRun(context, request, response, &RunDesk::Cancel);
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::DeleteRun(Context* context,
                                                            const v1::DeleteRunRequest* request,
                                                            v1::DeleteRunResponse* /*response*/) {
  return Once(context, request, [=](bool repeated) {
    return repeated ? absl::OkStatus() : coordinator_->runs().Delete(request->run_id());
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::PauseRun(Context* context,
                                                           const v1::PauseRunRequest* request,
                                                           v1::PauseRunResponse* response) {
  return ChangeRun(context, request, response, &RunDesk::Pause);
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ResumeRun(Context* context,
                                                            const v1::ResumeRunRequest* request,
                                                            v1::ResumeRunResponse* response) {
  return ChangeRun(context, request, response, &RunDesk::Resume);
}

grpc::ServerWriteReactor<v1::WatchRunResponse>* CoordinatorServiceImpl::WatchRun(
    Context* context, const v1::WatchRunRequest* request) {
  return StartWatch({coordinator_, context, &watch_limits_, &streams_}, request->run_id());
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::RegisterWorker(
    Context* context, const v1::RegisterWorkerRequest* request,
    v1::RegisterWorkerResponse* response) {
  return Once(context, request, [=](bool /*repeated*/) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(
        const WorkerRow worker,
        coordinator_->leases().Register(request->request_id(), request->name(),
                                        request->numerics_fingerprint(), request->numerics(),
                                        {CertificateNameOf(*context), request->memory_bytes()}));
    response->set_worker_id(worker.worker_id);
    response->set_lease_duration_seconds(absl::ToDoubleSeconds(coordinator_->lease_duration()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::LeaseTask(Context* context,
                                                            const v1::LeaseTaskRequest* request,
                                                            v1::LeaseTaskResponse* response) {
  auto* const reactor = new LeaseReactor(coordinator_, &lease_requests_, response);
  control_.Add([this, context, reactor, request] {
    v1::LeaseTaskRequest body = *request;
    body.clear_max_wait_seconds();  // a retry may wait for what is left
    reactor->Start(*request, DigestOf(body), CheckCaller(context, request->worker_id()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::RenewLease(Context* context,
                                                             const v1::RenewLeaseRequest* request,
                                                             v1::RenewLeaseResponse* response) {
  return Unary(context, &renewals_, [=]() -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Lease lease, FromProto(request->lease()));
    DISTILLERY_RETURN_IF_ERROR(CheckCaller(context, lease.worker_id));
    DISTILLERY_RETURN_IF_ERROR(
        coordinator_->leases().Renew(lease, request->sample_count(), request->waiting_for()));
    response->set_lease_duration_seconds(absl::ToDoubleSeconds(coordinator_->lease_duration()));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ReleaseTask(
    Context* context, const v1::ReleaseTaskRequest* request,
    v1::ReleaseTaskResponse* /*response*/) {
  return Once(context, request, [=](bool /*repeated*/) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Lease lease, FromProto(request->lease()));
    DISTILLERY_RETURN_IF_ERROR(CheckCaller(context, lease.worker_id));
    if (request->reason() != v1::RELEASE_REASON_STOPPING &&
        request->reason() != v1::RELEASE_REASON_FAILED) {
      return absl::InvalidArgumentError("reason must be stopping or failed");
    }
    return coordinator_->leases().Release(lease, request->reason() == v1::RELEASE_REASON_FAILED,
                                          request->message(), request->request_id());
  });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* CoordinatorServiceImpl::DownloadWeights(
    Context* context, const grpc::ByteBuffer* request) {
  return StartDownload({coordinator_, context, &download_limits_, &streams_}, *request, &bulk_);
}

UploadContext CoordinatorServiceImpl::UploadOf(Context* context) {
  return {coordinator_, &parked_, &bulk_, &streams_, &lease_limits_, &weights_limits_, context};
}

grpc::ServerReadReactor<grpc::ByteBuffer>* CoordinatorServiceImpl::UploadDelta(
    Context* context, grpc::ByteBuffer* response) {
  return StartDeltaUpload(UploadOf(context), response);
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::GetUpload(Context* context,
                                                            const v1::GetUploadRequest* request,
                                                            v1::GetUploadResponse* response) {
  return Unary(context, [=]() -> absl::Status {
    DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request->request_id(), 64));
    response->set_received_byte_count(
        parked_.ReceivedBytes(ClientOf(*context), request->request_id()));
    return absl::OkStatus();
  });
}

grpc::ServerReadReactor<grpc::ByteBuffer>* CoordinatorServiceImpl::UploadWeights(
    Context* context, grpc::ByteBuffer* response) {
  return StartWeightsUpload(UploadOf(context), response);
}

grpc::ServerUnaryReactor* CoordinatorServiceImpl::ReportEvaluation(
    Context* context, const v1::ReportEvaluationRequest* request,
    v1::ReportEvaluationResponse* response) {
  return Once(context, request, [=](bool /*repeated*/) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const Lease lease, FromProto(request->lease()));
    DISTILLERY_RETURN_IF_ERROR(CheckCaller(context, lease.worker_id));
    DISTILLERY_ASSIGN_OR_RETURN(const bool duplicate,
                                coordinator_->results().Evaluate(request->request_id(), lease,
                                                                 FromProto(request->metrics())));
    response->set_duplicate(duplicate);
    return absl::OkStatus();
  });
}

}  // namespace distillery
