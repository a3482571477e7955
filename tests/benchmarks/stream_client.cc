#include "tests/benchmarks/stream_client.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

constexpr char kMethod[] = "/distillery.v1.TeacherService/StreamSoftTargets";

// Waits for the only thing that is under way.
bool Await(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

}  // namespace

StreamClient::StreamClient(const std::string& address)
    : channel_(grpc::CreateChannel(address, grpc::InsecureChannelCredentials())),
      generic_(channel_),
      stub_(v1::TeacherService::NewStub(channel_)) {}

absl::StatusOr<int64_t> StreamClient::ReadBytes(const v1::StreamSoftTargetsRequest& request) {
  const grpc::Slice slice(request.SerializeAsString());
  const grpc::ByteBuffer bytes(&slice, 1);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto call = generic_.PrepareCall(&context, kMethod, &queue);
  int64_t total = 0;
  call->StartCall(nullptr);
  bool ok = Await(queue);
  if (ok) {
    call->WriteLast(bytes, {}, nullptr);
    ok = Await(queue);
  }
  grpc::ByteBuffer message;
  while (ok) {
    call->Read(&message, nullptr);
    ok = Await(queue);
    if (ok) total += static_cast<int64_t>(message.Length());
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  Await(queue);
  queue.Shutdown();
  while (Await(queue)) continue;
  DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(status));
  return total;
}

absl::StatusOr<int64_t> StreamClient::ReadParsed(const v1::StreamSoftTargetsRequest& request) {
  grpc::ClientContext context;
  const auto reader = stub_->StreamSoftTargets(&context, request);
  int64_t total = 0;
  v1::StreamSoftTargetsResponse message;
  while (reader->Read(&message)) {
    total += static_cast<int64_t>(message.chunk().values().data().size());
  }
  DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(reader->Finish()));
  return total;
}

}  // namespace distillery
