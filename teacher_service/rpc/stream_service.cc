#include "teacher_service/rpc/stream_service.h"

#include "common/rpc/transport.h"
#include "teacher_service/rpc/soft_target_stream.h"

namespace distillery {

StreamService::StreamService(const Options& options, TeacherHost* host)
    : options_(options),
      host_(host),
      limits_("streams", "--max-streams-per-client", options.max_streams_per_client),
      buffers_(kChunkBytes + 4096, /*max_free=*/64),
      pool_(options.threads),
      watch_(host->scheduler().clock(), options.idle_limit) {}

grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamService::Open(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  {
    MutexLock lock(mutex_);
    ++statistics_.open_count;
  }
  auto* const stream = new SoftTargetStream(this, context);
  stream->Start(*request);
  return stream;
}

StreamStatistics StreamService::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace distillery
