// The reading side of cached_stream: whole streams, with their messages as bytes or as the
// generated class. Bytes cost the client the same whoever sends them, so they compare servers.
//
// Threads: one.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "distillery/v1/teacher_service.grpc.pb.h"

namespace distillery {

class StreamClient {
 public:
  // "127.0.0.1:PORT"
  explicit StreamClient(const std::string& address);

  // Reads to the end; the bytes of all messages. Errors of the stream.
  absl::StatusOr<int64_t> ReadBytes(const v1::StreamSoftTargetsRequest& request);
  // The same, parsed: the bytes of all soft targets.
  absl::StatusOr<int64_t> ReadParsed(const v1::StreamSoftTargetsRequest& request);

 private:
  std::shared_ptr<grpc::Channel> channel_;
  grpc::GenericStub generic_;
  std::unique_ptr<v1::TeacherService::Stub> stub_;
};

}  // namespace distillery
