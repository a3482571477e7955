// coordinator: plans runs as tasks, leases them to workers, averages their weights.
#include <malloc.h>

#include <memory>
#include <string>

#include "common/base/command_line.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/rpc/health_check.h"
#include "common/rpc/initialise.h"
#include "common/rpc/metrics_exposer.h"
#include "common/rpc/server.h"
#include "common/rpc/transport_flags.h"
#include "coordinator/coordinator.h"
#include "coordinator/offline/state_command.h"
#include "coordinator/rpc/coordinator_service.h"
#include "coordinator/rpc/metrics.h"

namespace distillery {
namespace {

struct Flags {
  RpcServer::Options server;
  std::string state_dir = "state";
  double lease_seconds = 30;
  double stall_seconds = 600;
  double stream_idle_seconds = 60;
  int64_t unread_mib = 256;
  CoordinatorServiceImpl::Options service;
  MetricsExposer::Options metrics;
  // Flags of `coordinator healthcheck`.
  std::string health_address;
  double health_timeout_seconds = 3;
  TransportOptions health_transport;
  LogOptions log;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  coordinator --state-dir state\n"
    "      serve on loopback, keep everything in ./state\n"
    "  coordinator --listen 0.0.0.0:7002 --tls-certificate coordinator.pem \\\n"
    "      --tls-key coordinator-key.pem --tls-ca ca.pem\n"
    "      serve other machines over mutual TLS\n"
    "  coordinator state check state\n"
    "      verify the folder of a stopped coordinator; `coordinator state --help` for more\n"
    "  coordinator healthcheck --address 127.0.0.1:7002\n"
    "      exit code 0 if one serves there\n"
    "Stop it with SIGTERM or Ctrl-C; start it again on the same folder and every run goes on.";

absl::Status Serve(const Flags& flags) {
  DISTILLERY_RETURN_IF_ERROR(ArmFailpoints());
  Coordinator::Options options;
  options.state_dir = flags.state_dir;
  options.lease_duration = absl::Seconds(flags.lease_seconds);
  if (flags.stall_seconds > 0) options.stall_limit = absl::Seconds(flags.stall_seconds);
  DISTILLERY_ASSIGN_OR_RETURN(const auto coordinator, Coordinator::Open(options));
  CoordinatorServiceImpl::Options serving_options = flags.service;
  serving_options.stream_idle_limit = absl::Seconds(flags.stream_idle_seconds);
  CoordinatorServiceImpl service(coordinator.get(), serving_options);
  RequestStatistics requests;
  RpcServer::Options serving = flags.server;
  serving.calls.idle_limit = serving_options.stream_idle_limit;
  serving.calls.AllowUnread(flags.unread_mib << 20);
  serving.request_statistics = &requests;
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto server,
      RpcServer::Start(serving, {{v1::CoordinatorService::service_full_name(), &service}}));
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto exposer, MetricsExposer::Start(flags.metrics, flags.server.transport.insecure,
                                                std::make_shared<CoordinatorMetrics>(
                                                    coordinator.get(), &requests, server.get())));
  if (exposer != nullptr) LogInfo("metrics at http://{}/metrics", exposer->address());
  coordinator->Start();
  server->SetServing(true);
  LogInfo("coordinator {} listens on {}, state in {}, lease {} s", DISTILLERY_VERSION,
          server->address(), flags.state_dir, flags.lease_seconds);
  StopSignal::Wait();
  LogInfo("stopping; start again with --state-dir {} to go on", flags.state_dir);
  server->SetServing(false);
  coordinator->Close();
  server->Shutdown(absl::Seconds(5));
  return absl::OkStatus();
}

// As `distillery healthcheck`, for an image that holds nothing but this program.
CommandLine AddHealthCheck(CommandLine* line, Flags* flags) {
  CommandLine health = line->AddCommand(
      "healthcheck", "ask a running coordinator for its health; exit code 0 if it serves");
  health.Add("--address", flags->health_address, "the coordinator, HOST:PORT").Required();
  health.Add("--timeout", flags->health_timeout_seconds, "seconds to wait for the answer")
      .Between(0.1, 600.0)
      .ShowDefault();
  AddTransportFlags(&health, &flags->health_transport);
  health.Footer("Examples:\n  coordinator healthcheck --address 127.0.0.1:7002");
  return health;
}

int Main(int argc, char** argv) {
  StopSignal::Install();
  Flags flags;
  flags.server.address = "127.0.0.1:7002";
  // For many uploads at once: memory stays small, and one goes on at a window in each round trip.
  flags.server.stream_window_bytes = 256 << 10;
  CommandLine line(
      "Plans distillation runs as tasks, leases them to workers, averages their weights.",
      "coordinator");
  line.Add("--listen", flags.server.address, "address to serve, HOST:PORT; port 0: any free")
      .ShowDefault();
  line.Add("--address-file", flags.server.address_file, "write the address here once it is served");
  line.Add("--state-dir", flags.state_dir, "folder of the record and the weights").ShowDefault();
  line.Add("--lease-seconds", flags.lease_seconds,
           "a worker that is silent for so long loses its task")
      .Between(0.1, 86400.0)
      .ShowDefault();
  line.Add("--stall-seconds", flags.stall_seconds,
           "a worker that answers but has trained on nothing more for so long loses its task; "
           "0: never")
      .Between(0.0, 1e6)
      .ShowDefault();
  line.Add("--stream-idle-seconds", flags.stream_idle_seconds,
           "a client that neither reads nor sends for so long loses its stream")
      .Between(0.1, 86400.0)
      .ShowDefault();
  line.Add("--max-unread-mib-per-client", flags.unread_mib,
           "answers that one client may leave unread; more get RESOURCE_EXHAUSTED")
      .Between(1, 1048576)
      .ShowDefault();
  line.Add("--max-streams-per-client", flags.service.max_streams_per_client,
           "watches that one client may have open, and as many downloads")
      .Between(1, 1000000)
      .ShowDefault();
  AddTransportFlags(&line, &flags.server.transport);
  AddConnectionFlags(&line, &flags.server.max_connections,
                     &flags.server.max_connections_per_address);
  AddAccessFlags(&line, &flags.server.allowed_workers);
  AddMetricsFlags(&line, &flags.metrics);
  line.AddCommonFlags(&flags.log);
  StateCommand state;
  state.AddTo(&line);
  CommandLine health = AddHealthCheck(&line, &flags);
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("coordinator", flags.log);
  if (state.parsed()) {
    const absl::StatusOr<int> code = state.Run();
    return code.ok() ? *code : ReportStatus("coordinator", code.status());
  }
  if (health.parsed()) {
    return ReportStatus("coordinator healthcheck",
                        CheckHealth(flags.health_address, flags.health_transport,
                                    absl::Seconds(flags.health_timeout_seconds)));
  }
  return ReportStatus("coordinator", Serve(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  // Calls end on other threads than they began on. With an arena for each thread the memory of
  // calls that are over piles up in all of them, 60 MiB after some ten thousand, and this program's
  // is promised; with one it is taken up again, and calls take no longer.
  mallopt(M_ARENA_MAX, 1);
  return distillery::Main(argc, argv);
}
