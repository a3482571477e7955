// distillery healthcheck: asks grpc.health.v1, for container engines and scripts.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdio>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/command.h"
#include "common/base/status_macros.h"
#include "common/rpc/flags.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"

namespace distillery {
namespace {

// The bytes of grpc.health.v1.HealthCheckResponse{status = 1: SERVING}; its stubs are not among
// Debian's packages, and the request for the whole server is empty.
constexpr absl::string_view kServing("\x08\x01", 2);

class HealthcheckCommand : public Command {
 public:
  explicit HealthcheckCommand(CLI::App* parent)
      : Command(parent, "healthcheck",
                "Ask a service for its health (grpc.health.v1). Exit code 0 if it serves; a teacher "
                "serves once its model is warm.",
                "  distillery healthcheck --address 127.0.0.1:7001\n"
                "  distillery healthcheck --address coordinator:7002 --insecure --timeout 2") {
    app_->add_option("--address", address_, "the service, HOST:PORT")->required();
    app_->add_option("--timeout", timeout_seconds_, "seconds to wait for the answer")
        ->check(CLI::Range(0.1, 600.0))
        ->capture_default_str();
    AddTransportFlags(app_, &transport_);
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const auto channel, MakeChannel(address_, transport_));
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(timeout_seconds_)));
    const grpc::Slice empty;
    const grpc::ByteBuffer request(&empty, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request,
                   &response, [&done](grpc::Status status) { done.set_value(std::move(status)); });
    const absl::Status status = FromGrpcStatus(done.get_future().get());
    if (!status.ok()) {
      return absl::UnavailableError(
          absl::StrCat(address_, " does not answer: ", std::string(status.message())));
    }
    std::vector<grpc::Slice> slices;
    std::string bytes;
    (void)response.Dump(&slices);
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    if (bytes != kServing) return absl::UnavailableError(absl::StrCat(address_, " is NOT_SERVING"));
    std::printf("%s is SERVING\n", address_.c_str());
    return absl::OkStatus();
  }

 private:
  std::string address_;
  double timeout_seconds_ = 3;
  TransportOptions transport_;
};

}  // namespace

std::unique_ptr<Command> MakeHealthcheckCommand(CLI::App* parent) {
  return std::make_unique<HealthcheckCommand>(parent);
}

}  // namespace distillery
