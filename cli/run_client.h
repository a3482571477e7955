// The coordinator as people's tools see it: runs, over gRPC.
//
// Threads: safe for all. Unary calls block for at most ten seconds.
#pragma once

#include <grpcpp/channel.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/transport.h"
#include "common/run/run_spec.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// Where the coordinator is, from the command line.
struct CoordinatorFlags {
  std::string address = "127.0.0.1:7002";
  TransportOptions transport;

  void AddTo(CLI::App* app);
};

class RunClient {
 public:
  // `address` is for messages.
  RunClient(std::shared_ptr<grpc::Channel> channel, std::string address)
      : channel_(std::move(channel)), address_(std::move(address)) {}
  // INVALID_ARGUMENT as MakeChannel.
  static absl::StatusOr<RunClient> Connect(const CoordinatorFlags& flags);

  // Each: UNAVAILABLE says where the coordinator was looked for; else as the rpc's comment.
  absl::StatusOr<v1::Run> Submit(const std::string& request_id, const RunSpec& spec) const;
  // Submits under an id made from the spec, so that the same spec finds its run again. A run that
  // failed or was cancelled is not found again but begun anew.
  absl::StatusOr<v1::Run> SubmitOrResume(const RunSpec& spec) const;
  absl::StatusOr<v1::GetRunResponse> Get(const std::string& run_id) const;
  // Newest first, all pages.
  absl::StatusOr<std::vector<v1::Run>> List() const;
  absl::StatusOr<v1::Run> Cancel(const std::string& run_id) const;
  // Gives each state of each run to `show` until all have ended, or `show` returns false. Goes on
  // through a coordinator that is away, and tells `show` nothing then.
  absl::Status Watch(const std::vector<std::string>& run_ids,
                     const std::function<bool(const std::vector<v1::Run>&)>& show) const;

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::string address_;
};

bool HasEnded(const v1::Run& run);
// "pending", "running", "succeeded", "failed", "cancelled".
std::string RunStateName(const v1::Run& run);
// OK for a run that succeeded; else its reason.
absl::Status RunOutcome(const v1::Run& run);

}  // namespace distillery
