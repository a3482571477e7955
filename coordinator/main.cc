// coordinator: plans runs as tasks, leases them to workers, averages their weights.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/rpc/flags.h"
#include "common/rpc/server.h"
#include "coordinator/coordinator.h"
#include "coordinator/coordinator_service.h"

namespace distillery {
namespace {

struct Flags {
  RpcServer::Options server;
  std::string state_dir = "state";
  double lease_seconds = 30;
  std::string log_level = "info";
};

constexpr char kExamples[] =
    "Examples:\n"
    "  coordinator --state-dir state\n"
    "      serve on loopback, keep everything in ./state\n"
    "  coordinator --listen 0.0.0.0:7002 --tls-certificate c.pem --tls-key c.key --tls-ca ca.pem\n"
    "      serve other machines over mutual TLS\n"
    "Stop it with SIGTERM or Ctrl-C; start it again on the same folder and every run goes on.";

absl::Status Serve(const Flags& flags) {
  Coordinator::Options options;
  options.state_dir = flags.state_dir;
  options.lease_duration = absl::Seconds(flags.lease_seconds);
  DISTILLERY_ASSIGN_OR_RETURN(const auto coordinator, Coordinator::Open(options));
  CoordinatorServiceImpl service(coordinator.get());
  DISTILLERY_ASSIGN_OR_RETURN(const auto server, RpcServer::Start(flags.server, {&service}));
  coordinator->Start();
  server->SetServing(true);
  spdlog::info("coordinator {} listens on {}, state in {}, lease {} s", DISTILLERY_VERSION,
               server->address(), flags.state_dir, flags.lease_seconds);
  StopSignal::Wait();
  spdlog::info("stopping; start again with --state-dir {} to go on", flags.state_dir);
  server->SetServing(false);
  coordinator->Close();
  server->Shutdown(absl::Seconds(5));
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  StopSignal::Install();
  Flags flags;
  flags.server.address = "127.0.0.1:7002";
  CLI::App app("Plans distillation runs as tasks, leases them to workers, averages their weights.",
               "coordinator");
  app.add_option("--listen", flags.server.address, "address to serve, HOST:PORT; port 0: any free")
      ->capture_default_str();
  app.add_option("--address-file", flags.server.address_file,
                 "write the address here once it is served");
  app.add_option("--state-dir", flags.state_dir, "folder of the record and the weights")
      ->capture_default_str();
  app.add_option("--lease-seconds", flags.lease_seconds,
                 "a worker that is silent for so long loses its task")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  AddTransportFlags(&app, &flags.server.transport);
  AddConnectionFlags(&app, &flags.server.max_connections);
  AddCommonFlags(&app, &flags.log_level);
  app.footer(kExamples);
  if (const int code = ParseFlags(&app, argc, argv); code >= 0) return code;
  ConfigureLogging(flags.log_level);
  return ReportStatus("coordinator", Serve(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) { return distillery::Main(argc, argv); }
