// StreamSoftTargets: the streams of one service.
//
// Messages are raw bytes: tensors go from memory, from one read of the cache's file, or from one
// conversion pass, to the wire without a copy into a message.
//
// Threads: safe for all. Opening and encoding run on a pool of its own, computing on the
// scheduler's threads; gRPC's callbacks never block.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "teacher_service/rpc/stream_resources.h"

namespace distillery {

class StreamService {
 public:
  using Options = StreamOptions;
  StreamService(const Options& options, TeacherHost* host) : shared_(options, host) {}

  // No stream may be left when this is destroyed: shut the server down first.
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Open(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request);
  // Ends the streams whose clients have not read for the idle limit; for tests with another clock.
  void EndIdle() { shared_.watch.EndIdle(); }
  StreamStatistics statistics() const;

 private:
  mutable StreamResources shared_;
};

}  // namespace distillery
