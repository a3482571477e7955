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

#include "common/base/mutex.h"
#include "common/base/task_pool.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/stream_watch.h"
#include "teacher_service/buffer_pool.h"
#include "teacher_service/teacher_host.h"

namespace distillery {

// What streams have done since the service started.
struct StreamStatistics {
  int64_t open_count = 0;
  int64_t finished_count = 0;
  int64_t failed_count = 0;
  int64_t row_count = 0;
  int64_t byte_count = 0;
  absl::Duration encode_time;
};

class StreamService {
 public:
  struct Options {
    // Threads that open shards and encode.
    int threads = 2;
    // Cuts that one stream has in flight or ready.
    int read_ahead_cuts = 3;
    // A client that reads nothing for so long loses its stream.
    absl::Duration idle_limit = absl::Seconds(60);
    int64_t max_streams_per_client = 64;
  };
  StreamService(const Options& options, TeacherHost* host);

  // No stream may be left when this is destroyed: shut the server down first.
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Open(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request);
  // Ends the streams whose clients have not read for the idle limit; for tests with another clock.
  void EndIdle() { watch_.EndIdle(); }
  StreamStatistics statistics() const;

 private:
  friend class SoftTargetStream;

  const Options options_;
  TeacherHost* const host_;
  ClientLimits limits_;
  BufferPool buffers_;
  mutable Mutex mutex_;
  StreamStatistics statistics_ ABSL_GUARDED_BY(mutex_);
  TaskPool pool_;
  StreamWatch watch_;
};

}  // namespace distillery
