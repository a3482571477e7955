#include "student_worker/rpc/shard_stream.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "common/base/status_macros.h"
#include "common/rpc/soft_target_conversion.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

// A stream that takes longer is given up and resumed.
constexpr absl::Duration kStreamDeadline = absl::Minutes(10);

// What has come so far.
struct Received {
  bool header = false;
  bool trailer = false;
  bool differs = false;
  int64_t next_row = 0;
  uint32_t crc = 0;
};

absl::Status Take(const v1::StreamSoftTargetsResponse& message, int64_t first_row,
                  const ShardHandlers& handlers, Received* received) {
  if (message.has_header()) {
    if (received->header) return absl::DataLossError("the teacher's stream has two headers");
    received->header = true;
    return handlers.header(message.header());
  }
  if (!received->header) {
    return absl::DataLossError("the teacher's stream does not begin with its header");
  }
  if (message.has_chunk()) {
    const v1::SoftTargetChunk& chunk = message.chunk();
    if (chunk.start_row() != received->next_row) {
      return absl::DataLossError(absl::StrCat("the teacher's stream goes on at row ",
                                              chunk.start_row(), ", expected ",
                                              received->next_row));
    }
    received->crc = ChunkCrc32c(chunk, received->crc);
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t rows, handlers.chunk(chunk));
    received->next_row += rows;
    DISTILLERY_FAILPOINT("worker.shard.chunk");
  } else if (message.has_trailer()) {
    if (message.trailer().row_count() != received->next_row - first_row ||
        message.trailer().crc32c() != received->crc) {
      received->differs = true;
      return absl::DataLossError("the teacher's stream does not match its trailer");
    }
    received->trailer = true;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadShardStream(const std::shared_ptr<grpc::Channel>& channel,
                             const v1::StreamSoftTargetsRequest& request, int64_t row_count,
                             CallCanceller* canceller, const ShardHandlers& handlers,
                             bool* differs) {
  const auto stub = v1::TeacherService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kStreamDeadline));
  const CallCanceller::Scope scope(canceller, &context);
  const auto stream = stub->StreamSoftTargets(&context, request);
  v1::StreamSoftTargetsResponse message;
  Received received;
  received.next_row = request.start_row();
  absl::Status problem;
  while (problem.ok() && !received.trailer && stream->Read(&message)) {
    problem = Take(message, request.start_row(), handlers, &received);
  }
  if (differs != nullptr) *differs = received.differs;
  if (!problem.ok()) context.TryCancel();
  const absl::Status end = FromGrpcStatus(stream->Finish());
  if (!problem.ok()) return problem;
  DISTILLERY_RETURN_IF_ERROR(end);
  if (!received.trailer || received.next_row != row_count) {
    return absl::AbortedError("the stream ended without its trailer");
  }
  return absl::OkStatus();
}

}  // namespace distillery
