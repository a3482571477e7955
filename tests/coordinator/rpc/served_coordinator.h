// A coordinator behind its gRPC skin, for tests that open several, one after the other.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/rpc/coordinator_service.h"
#include "tests/common/status_matchers.h"

namespace distillery {

class ServedCoordinator {
 public:
  using Stub = v1::CoordinatorService::Stub;

  // Serves on an in-process channel. The coordinator must outlive this object, which closes it.
  explicit ServedCoordinator(Coordinator* coordinator, RpcServer::Options options = InProcess())
      : coordinator_(coordinator), service_(coordinator) {
    auto started =
        RpcServer::Start(options, {{v1::CoordinatorService::service_full_name(), &service_}});
    EXPECT_THAT(started, IsOk());
    server_ = *std::move(started);
    // The stub of a stock client, which takes no message over 4 MiB.
    if (options.address.empty())
      stub_ = v1::CoordinatorService::NewStub(server_->InProcessChannel());
  }
  ~ServedCoordinator() {
    coordinator_->Close();
    server_->Shutdown(absl::ZeroDuration());
  }
  ServedCoordinator(const ServedCoordinator&) = delete;
  ServedCoordinator& operator=(const ServedCoordinator&) = delete;

  const std::string& address() const { return server_->address(); }
  Stub* stub() { return stub_.get(); }
  std::shared_ptr<grpc::Channel> channel() { return server_->InProcessChannel(); }

  template <typename Request, typename Response>
  static absl::StatusOr<Response> Call(Stub* stub,
                                       grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                    const Request&, Response*),
                                       const Request& request) {
    grpc::ClientContext context;
    Response response;
    const absl::Status status = FromGrpcStatus((*stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    EXPECT_LT(response.ByteSizeLong(), 4 << 20);
    return response;
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) {
    return Call(stub_.get(), method, request);
  }

  // The runs of all pages, each of at most `page_size`.
  absl::StatusOr<std::vector<v1::Run>> ListRuns(int32_t page_size = 0) {
    std::vector<v1::Run> runs;
    v1::ListRunsRequest request;
    request.set_page_size(page_size);
    do {
      const auto page = Call(&Stub::ListRuns, request);
      if (!page.ok()) return page.status();
      runs.insert(runs.end(), page->runs().begin(), page->runs().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return runs;
  }
  absl::StatusOr<std::vector<v1::Worker>> ListWorkers(int32_t page_size = 0) {
    std::vector<v1::Worker> workers;
    v1::ListWorkersRequest request;
    request.set_page_size(page_size);
    do {
      const auto page = Call(&Stub::ListWorkers, request);
      if (!page.ok()) return page.status();
      workers.insert(workers.end(), page->workers().begin(), page->workers().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return workers;
  }
  absl::StatusOr<std::vector<v1::LeaseRecord>> ListLeases(const std::string& run_id) {
    std::vector<v1::LeaseRecord> leases;
    v1::ListLeasesRequest request;
    request.set_run_id(run_id);
    do {
      const auto page = Call(&Stub::ListLeases, request);
      if (!page.ok()) return page.status();
      leases.insert(leases.end(), page->leases().begin(), page->leases().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return leases;
  }
  absl::StatusOr<v1::GetRunResponse> GetRun(const std::string& run_id, int32_t page_size = 0,
                                            const std::string& page_token = "") {
    v1::GetRunRequest request;
    request.set_run_id(run_id);
    request.set_include_rounds(true);
    request.set_page_size(page_size);
    request.set_page_token(page_token);
    return Call(&Stub::GetRun, request);
  }

 private:
  static RpcServer::Options InProcess() {
    RpcServer::Options options;
    options.address.clear();
    return options;
  }

  Coordinator* const coordinator_;
  CoordinatorServiceImpl service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<Stub> stub_;
};

}  // namespace distillery
