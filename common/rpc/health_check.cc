#include "common/rpc/health_check.h"

#include <grpcpp/client_context.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/connection.h"
#include "common/rpc/status_conversion.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace distillery {

absl::Status CheckHealth(const std::string& address, const TransportOptions& transport,
                         absl::Duration timeout) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto connection, Connection::Open(address, transport));
  const auto stub = grpc::health::v1::Health::NewStub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  grpc::health::v1::HealthCheckResponse response;
  absl::Status status = connection->Explain(FromGrpcStatus(stub->Check(&context, {}, &response)));
  if (absl::IsFailedPrecondition(status) || absl::IsUnauthenticated(status)) return status;
  if (!status.ok()) {
    return absl::UnavailableError(
        absl::StrCat(address, " does not answer: ", std::string(status.message())));
  }
  if (response.status() != grpc::health::v1::HealthCheckResponse::SERVING) {
    return absl::UnavailableError(absl::StrCat(address, " is NOT_SERVING"));
  }
  return absl::OkStatus();
}

}  // namespace distillery
