// One stream of a shard's rows from one teacher: its framing, its order and its checksum. What the
// rows hold is the handlers' affair.
#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/rpc/call_canceller.h"
#include "distillery/v1/teacher_service.grpc.pb.h"

namespace distillery {

struct ShardHandlers {
  // First. Not OK: this is not the shard that was asked for.
  std::function<absl::Status(const v1::SoftTargetHeader&)> header;
  // Takes in the rows of a chunk, and says how many they were.
  std::function<absl::StatusOr<int64_t>(const v1::SoftTargetChunk&)> chunk;
};

// Reads from request.start_row() to the end of the shard, which has `row_count` rows. Blocks. What
// the handlers say, or the teacher; ABORTED if the stream ends before its trailer; DATA_LOSS if it
// is no whole stream: what came in it is not to be trusted then. `differs`, if given, is set if it
// came to its end but is not what its trailer says.
absl::Status ReadShardStream(const std::shared_ptr<grpc::Channel>& channel,
                             const v1::StreamSoftTargetsRequest& request, int64_t row_count,
                             CallCanceller* canceller, const ShardHandlers& handlers,
                             bool* differs = nullptr);

}  // namespace distillery
