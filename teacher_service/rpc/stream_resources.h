// What the streams of one service share: threads, buffers, limits, and what is counted.
//
// Threads: safe for all.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/task_pool.h"
#include "common/rpc/client_limits.h"
#include "common/rpc/stream_watch.h"
#include "common/rpc/transport.h"
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

struct StreamOptions {
  // Threads that open shards and encode.
  int threads = 2;
  // Cuts that one stream has in flight or ready.
  int read_ahead_cuts = 3;
  // A client that reads nothing for so long loses its stream.
  absl::Duration idle_limit = absl::Seconds(60);
  int64_t max_streams_per_client = 64;
};

struct StreamResources {
  StreamResources(const StreamOptions& options, TeacherHost* host)
      : options(options),
        host(host),
        limits("streams", "--max-streams-per-client", options.max_streams_per_client),
        buffers(kChunkBytes + 4096, /*max_free=*/64),
        pool(options.threads),
        watch(host->scheduler().clock(), options.idle_limit) {}

  const StreamOptions options;
  TeacherHost* const host;
  ClientLimits limits;
  BufferPool buffers;
  Mutex mutex;
  StreamStatistics statistics ABSL_GUARDED_BY(mutex);
  TaskPool pool;
  StreamWatch watch;
};

}  // namespace distillery
