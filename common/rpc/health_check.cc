#include "common/rpc/health_check.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <future>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/connection.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

// The bytes of grpc.health.v1.HealthCheckResponse{status = 1: SERVING}; its stubs are not among
// Debian's packages, and the request for the whole server is empty.
constexpr absl::string_view kServing("\x08\x01", 2);

}  // namespace

absl::Status CheckHealth(const std::string& address, const TransportOptions& transport,
                         absl::Duration timeout) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto connection, Connection::Open(address, transport));
  grpc::GenericStub stub(connection->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request,
                 &response, [&done](grpc::Status status) { done.set_value(std::move(status)); });
  absl::Status status = connection->Explain(FromGrpcStatus(done.get_future().get()));
  if (absl::IsFailedPrecondition(status) || absl::IsUnauthenticated(status)) return status;
  if (!status.ok()) {
    return absl::UnavailableError(
        absl::StrCat(address, " does not answer: ", std::string(status.message())));
  }
  std::vector<grpc::Slice> slices;
  std::string bytes;
  (void)response.Dump(&slices);
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  if (bytes != kServing) return absl::UnavailableError(absl::StrCat(address, " is NOT_SERVING"));
  return absl::OkStatus();
}

}  // namespace distillery
