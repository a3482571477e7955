// distillery healthcheck: asks grpc.health.v1, for container engines and scripts.
#include <cstdio>
#include <string>

#include "cli/commands/command.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/rpc/health_check.h"
#include "common/rpc/transport_flags.h"

namespace distillery {
namespace {

class HealthcheckCommand : public Command {
 public:
  explicit HealthcheckCommand(CommandLine* parent)
      : Command(
            parent, "healthcheck",
            "Ask a service for its health (grpc.health.v1). Exit code 0 if it serves; a teacher "
            "serves once its model is warm.",
            "  distillery healthcheck --address 127.0.0.1:7001\n"
            "  distillery healthcheck --address coordinator:7002 --insecure --timeout 2") {
    line_.Add("--address", address_, "the service, HOST:PORT").Required();
    line_.Add("--timeout", timeout_seconds_, "seconds to wait for the answer")
        .Between(0.1, 600.0)
        .ShowDefault();
    AddTransportFlags(&line_, &transport_);
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

  absl::Status Run() override {
    DISTILLERY_RETURN_IF_ERROR(CheckHealth(address_, transport_, absl::Seconds(timeout_seconds_)));
    Print(stdout, "%s is SERVING\n", address_.c_str());
    return absl::OkStatus();
  }

 private:
  std::string address_;
  double timeout_seconds_ = 3;
  TransportOptions transport_;
};

}  // namespace

std::unique_ptr<Command> MakeHealthcheckCommand(CommandLine* parent) {
  return std::make_unique<HealthcheckCommand>(parent);
}

}  // namespace distillery
