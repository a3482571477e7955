// What a StreamSoftTargets request asks for, and the shard that it reads once its data set is open.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "distillery/v1/teacher_service.pb.h"
#include "teacher_service/soft_target_chunk.h"
#include "teacher_service/teacher_host.h"

namespace distillery {

// What is known before the data set is open.
struct StreamPlan {
  std::shared_ptr<Teacher> teacher;
  ChunkMaker::Options chunks;

  bool samples_alone() const { return chunks.format.representation == Representation::kNone; }
};

// INVALID_ARGUMENT for what cannot be; UNAVAILABLE and NOT_FOUND as TeacherHost::ReadyTeacher;
// FAILED_PRECONDITION for another teacher than the one expected.
absl::StatusOr<StreamPlan> PlanStream(const v1::StreamSoftTargetsRequest& request,
                                      TeacherHost* host);

// The shard of one stream. Threads: one at a time.
class StreamedShard {
 public:
  // Blocks on files. FAILED_PRECONDITION for another data set than the one expected;
  // RESOURCE_EXHAUSTED for rows that fit no message; INVALID_ARGUMENT for start_row; else as
  // LogitSource::Open. `buffers` must outlive it.
  static absl::StatusOr<std::unique_ptr<StreamedShard>> Open(
      const v1::StreamSoftTargetsRequest& request, const StreamPlan& plan,
      std::shared_ptr<const Dataset> dataset, TeacherHost* host, BufferPool* buffers);

  v1::StreamSoftTargetsResponse Header() const;
  int64_t row_count() const { return range_.count; }
  int64_t cut_rows() const { return plan_.teacher->info().batch_rows; }
  // The bytes of one row on the wire.
  int64_t row_bytes() const { return row_bytes_; }
  // Null if samples are sent alone.
  const std::shared_ptr<ShardLogits>& logits() const { return logits_; }

  // The chunk that begins with `row`; `rows`, if there are logits, has that row. Blocks on files.
  // Nothing if rows of the cache's file are damaged: they are to be asked for again, and come from
  // the teacher.
  absl::StatusOr<std::optional<SoftTargetChunk>> Make(int64_t row,
                                                      const absl::StatusOr<LogitRows>& rows);

 private:
  StreamedShard(const StreamPlan& plan, std::shared_ptr<const Dataset> dataset, RowRange range,
                int64_t row_bytes, std::shared_ptr<ShardLogits> logits, BufferPool* buffers)
      : plan_(plan),
        dataset_(std::move(dataset)),
        range_(range),
        row_bytes_(row_bytes),
        logits_(std::move(logits)),
        maker_(plan.chunks, dataset_.get(), range, buffers) {}

  const StreamPlan plan_;
  const std::shared_ptr<const Dataset> dataset_;
  const RowRange range_;
  const int64_t row_bytes_;
  const std::shared_ptr<ShardLogits> logits_;
  ChunkMaker maker_;
};

}  // namespace distillery
