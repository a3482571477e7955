#include "cli/runs/run_client.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/runs/run_text.h"
#include "common/base/checksum.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/message_texts.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport_flags.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(10);

using Stub = v1::CoordinatorService::Stub;

template <typename Request, typename Response>
absl::StatusOr<Response> Call(const std::shared_ptr<Connection>& connection,
                              const std::string& address,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              Request request) {
  MakeTextsWhole(&request);
  Stub stub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  Response response;
  const absl::Status status =
      connection->Explain(FromGrpcStatus((stub.*method)(&context, request, &response)));
  if (NobodyAnswered(status)) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator answers at ", address,
                     ": start `coordinator`, or give --coordinator HOST:PORT (",
                     std::string(status.message()), ")"));
  }
  DISTILLERY_RETURN_IF_ERROR(status);
  return response;
}

}  // namespace

void CoordinatorFlags::AddTo(CommandLine* line) {
  line->Add("--coordinator", address, "the coordinator, HOST:PORT").ShowDefault();
  AddTransportFlags(line, &transport);
}

absl::StatusOr<RunClient> RunClient::Connect(const CoordinatorFlags& flags) {
  DISTILLERY_ASSIGN_OR_RETURN(auto connection, Connection::Open(flags.address, flags.transport));
  return RunClient(std::move(connection), flags.address);
}

absl::StatusOr<v1::Run> RunClient::Submit(const std::string& request_id,
                                          const RunSpec& spec) const {
  if (!spec.dataset.exclude_class_names.empty()) {
    return absl::InvalidArgumentError(
        "dataset.exclude_classes has names, which only a look at the data turns into numbers");
  }
  v1::SubmitRunRequest request;
  request.set_request_id(request_id);
  *request.mutable_spec() = ToProto(spec);
  DISTILLERY_ASSIGN_OR_RETURN(const auto response,
                              Call(connection_, address_, &Stub::SubmitRun, request));
  return response.run();
}

absl::StatusOr<v1::Run> RunClient::SubmitOrResume(const RunSpec& spec,
                                                  const RunInputs& inputs) const {
  DISTILLERY_RETURN_IF_ERROR(inputs.Check(spec));
  const std::string digest = Sha256Hex(RunSpecToJson(spec)).substr(0, 32);
  for (int attempt = 1;; ++attempt) {
    DISTILLERY_ASSIGN_OR_RETURN(v1::Run run, Submit(absl::StrCat(digest, "-", attempt), spec));
    if (run.state() == v1::RUN_STATE_FAILED || run.state() == v1::RUN_STATE_CANCELLED) continue;
    if (const std::string difference = inputs.Difference(run); !difference.empty()) {
      std::fprintf(stderr, "a run of this spec was found, but %s: it is done anew\n",
                   difference.c_str());
      continue;
    }
    if (run.state() == v1::RUN_STATE_PAUSED) return Resume(run.run_id());
    return run;
  }
}

absl::StatusOr<v1::GetRunResponse> RunClient::Get(const std::string& run_id) const {
  constexpr int32_t kPage = 10'000;
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  request.set_include_rounds(true);
  request.set_page_size(kPage);
  DISTILLERY_ASSIGN_OR_RETURN(v1::GetRunResponse all,
                              Call(connection_, address_, &Stub::GetRun, request));
  while (!all.next_page_token().empty()) {
    request.set_page_token(all.next_page_token());
    DISTILLERY_ASSIGN_OR_RETURN(v1::GetRunResponse page,
                                Call(connection_, address_, &Stub::GetRun, request));
    all.mutable_rounds()->MergeFrom(page.rounds());
    all.set_next_page_token(page.next_page_token());
  }
  return all;
}

absl::StatusOr<v1::Run> RunClient::Find(const std::string& run_id) const {
  v1::GetRunRequest request;
  request.set_run_id(run_id);
  DISTILLERY_ASSIGN_OR_RETURN(v1::GetRunResponse response,
                              Call(connection_, address_, &Stub::GetRun, request));
  return std::move(*response.mutable_run());
}

absl::StatusOr<std::vector<v1::Run>> RunClient::List() const {
  std::vector<v1::Run> runs;
  v1::ListRunsRequest request;
  do {
    DISTILLERY_ASSIGN_OR_RETURN(const auto response,
                                Call(connection_, address_, &Stub::ListRuns, request));
    runs.insert(runs.end(), response.runs().begin(), response.runs().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return runs;
}

absl::StatusOr<v1::ListLeasesResponse> RunClient::ListLeases(const std::string& run_id) const {
  v1::ListLeasesResponse all;
  v1::ListLeasesRequest request;
  request.set_run_id(run_id);
  do {
    DISTILLERY_ASSIGN_OR_RETURN(const auto page,
                                Call(connection_, address_, &Stub::ListLeases, request));
    all.MergeFrom(page);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return all;
}

absl::StatusOr<v1::ListWorkersResponse> RunClient::ListWorkers() const {
  v1::ListWorkersResponse all;
  v1::ListWorkersRequest request;
  do {
    DISTILLERY_ASSIGN_OR_RETURN(const auto page,
                                Call(connection_, address_, &Stub::ListWorkers, request));
    all.mutable_workers()->MergeFrom(page.workers());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::Run> RunClient::Cancel(const std::string& run_id) const {
  v1::CancelRunRequest request;
  request.set_request_id(RandomHex(16));
  request.set_run_id(run_id);
  DISTILLERY_ASSIGN_OR_RETURN(const auto response,
                              Call(connection_, address_, &Stub::CancelRun, request));
  return response.run();
}

absl::Status RunClient::Delete(const std::string& run_id) const {
  v1::DeleteRunRequest request;
  request.set_request_id(RandomHex(16));
  request.set_run_id(run_id);
  return Call(connection_, address_, &Stub::DeleteRun, request).status();
}

absl::StatusOr<v1::Run> RunClient::Pause(const std::string& run_id) const {
  v1::PauseRunRequest request;
  request.set_request_id(RandomHex(16));
  request.set_run_id(run_id);
  DISTILLERY_ASSIGN_OR_RETURN(const auto response,
                              Call(connection_, address_, &Stub::PauseRun, request));
  return response.run();
}

absl::StatusOr<v1::Run> RunClient::Resume(const std::string& run_id) const {
  v1::ResumeRunRequest request;
  request.set_request_id(RandomHex(16));
  request.set_run_id(run_id);
  DISTILLERY_ASSIGN_OR_RETURN(const auto response,
                              Call(connection_, address_, &Stub::ResumeRun, request));
  return response.run();
}

absl::Status RunClient::Watch(const std::vector<std::string>& run_ids,
                              const std::function<bool(const std::vector<v1::Run>&)>& show) const {
  // Polling serves any number of runs with one thread; WatchRun is for tools that want each change.
  constexpr absl::Duration kPeriod = absl::Milliseconds(200);
  std::vector<v1::Run> runs(run_ids.size());
  while (true) {
    bool all_still = true;
    bool reached = true;
    for (size_t i = 0; i < run_ids.size(); ++i) {
      if (StandsStill(runs[i])) continue;
      auto run = Find(run_ids[i]);
      if (run.ok()) {
        runs[i] = *std::move(run);
      } else if (absl::IsUnavailable(run.status())) {
        reached = false;
      } else {
        return run.status();
      }
      all_still = all_still && StandsStill(runs[i]);
    }
    if (reached && (!show(runs) || all_still)) return absl::OkStatus();
    if (!reached && !show({})) return absl::OkStatus();
    absl::SleepFor(kPeriod);
  }
}

}  // namespace distillery
