// The coordinator as people's tools see it: runs, over gRPC.
//
// Threads: safe for all. Unary calls block for at most ten seconds.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/runs/run_inputs.h"
#include "common/base/command_line.h"
#include "common/rpc/connection.h"
#include "common/run/run_spec.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// Where the coordinator is, from the command line.
struct CoordinatorFlags {
  std::string address = "127.0.0.1:7002";
  TransportOptions transport;

  void AddTo(CommandLine* line);
};

class RunClient {
 public:
  // `address` is for messages.
  RunClient(std::shared_ptr<Connection> connection, std::string address)
      : connection_(std::move(connection)), address_(std::move(address)) {}
  RunClient(std::shared_ptr<grpc::Channel> channel, std::string address)
      : RunClient(Connection::Of(std::move(channel)), std::move(address)) {}
  // Errors as Connection::Open.
  static absl::StatusOr<RunClient> Connect(const CoordinatorFlags& flags);

  // Each: UNAVAILABLE says where the coordinator was looked for; FAILED_PRECONDITION what is wrong
  // with TLS; else as the rpc's comment.
  absl::StatusOr<v1::Run> Submit(const std::string& request_id, const RunSpec& spec) const;
  // Submits under an id made from the spec, so that the same spec finds its run again. A run that
  // failed or was cancelled, or that was done with other inputs, is not found again but begun anew;
  // a line on stderr tells of other inputs. A run that is paused goes on. Errors of
  // RunInputs::Check.
  absl::StatusOr<v1::Run> SubmitOrResume(const RunSpec& spec, const RunInputs& inputs) const;
  // The run with all its rounds, from all pages.
  absl::StatusOr<v1::GetRunResponse> Get(const std::string& run_id) const;
  // The run without its rounds.
  absl::StatusOr<v1::Run> Find(const std::string& run_id) const;
  // Newest first, all pages.
  absl::StatusOr<std::vector<v1::Run>> List() const;
  // Oldest first, all pages.
  absl::StatusOr<v1::ListLeasesResponse> ListLeases(const std::string& run_id) const;
  // By name, all pages.
  absl::StatusOr<v1::ListWorkersResponse> ListWorkers() const;
  absl::StatusOr<v1::Run> Cancel(const std::string& run_id) const;
  absl::Status Delete(const std::string& run_id) const;
  absl::StatusOr<v1::Run> Pause(const std::string& run_id) const;
  absl::StatusOr<v1::Run> Resume(const std::string& run_id) const;
  // Gives each state of each run to `show` until all stand still, or `show` returns false. Goes on
  // through a coordinator that is away, and tells `show` nothing then.
  absl::Status Watch(const std::vector<std::string>& run_ids,
                     const std::function<bool(const std::vector<v1::Run>&)>& show) const;

  std::shared_ptr<grpc::Channel> channel() const { return connection_->channel(); }

 private:
  std::shared_ptr<Connection> connection_;
  std::string address_;
};

}  // namespace distillery
