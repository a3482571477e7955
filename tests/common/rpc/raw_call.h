// One unary call of any method, with an empty request.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <future>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "common/rpc/status_conversion.h"

namespace distillery {

inline absl::Status CallEmpty(const std::shared_ptr<grpc::Channel>& channel,
                              const std::string& method,
                              absl::Duration timeout = absl::Seconds(60)) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                 [&done](grpc::Status status) { done.set_value(std::move(status)); });
  return FromGrpcStatus(done.get_future().get());
}

inline constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

}  // namespace distillery
