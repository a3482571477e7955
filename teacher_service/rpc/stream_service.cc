#include "teacher_service/rpc/stream_service.h"

#include "teacher_service/rpc/soft_target_stream.h"

namespace distillery {

grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamService::Open(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  {
    MutexLock lock(shared_.mutex);
    ++shared_.statistics.open_count;
  }
  auto* const stream = new SoftTargetStream(&shared_, context);
  stream->Start(*request);
  return stream;
}

StreamStatistics StreamService::statistics() const {
  MutexLock lock(shared_.mutex);
  return shared_.statistics;
}

}  // namespace distillery
