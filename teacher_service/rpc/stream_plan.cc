#include "teacher_service/rpc/stream_plan.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/numbers.h"
#include "common/rpc/transport.h"
#include "teacher_service/rpc/teacher_messages.h"

namespace distillery {

absl::StatusOr<StreamPlan> PlanStream(const v1::StreamSoftTargetsRequest& request,
                                      TeacherHost* host) {
  StreamPlan plan;
  DISTILLERY_ASSIGN_OR_RETURN(plan.teacher, host->ReadyTeacher(request.model_name()));
  const TeacherInfo& info = plan.teacher->info();
  DISTILLERY_ASSIGN_OR_RETURN(
      plan.chunks.format,
      ReadFormat(request.temperature(), request.representation(), request.encoding(),
                 request.top_k(), info.card.answer_shape()));
  DISTILLERY_ASSIGN_OR_RETURN(plan.chunks.view, ReadView(request.augmentation()));
  plan.chunks.include_samples = request.include_samples();
  plan.chunks.max_bytes = kChunkBytes;
  DISTILLERY_RETURN_IF_ERROR(
      CheckExpected("teacher", request.expected_teacher_digest(), info.digest));
  return plan;
}

absl::StatusOr<std::unique_ptr<StreamedShard>> StreamedShard::Open(
    const v1::StreamSoftTargetsRequest& request, const StreamPlan& plan,
    std::shared_ptr<const Dataset> dataset, TeacherHost* host, BufferPool* buffers) {
  DISTILLERY_RETURN_IF_ERROR(
      CheckExpected("dataset", request.expected_dataset_digest(), dataset->digest()));
  const ChunkMaker::Options& chunks = plan.chunks;
  DISTILLERY_RETURN_IF_ERROR(CheckView(*dataset, chunks.view));
  const AnswerShape shape(dataset->spec().answer, dataset->class_count());
  const int64_t row_bytes = (plan.samples_alone() ? 0 : chunks.format.SizesOf(1, shape).total()) +
                            (chunks.include_samples ? dataset->record_bytes() + 4 : 0);
  if (row_bytes > kMaxMessageBytes - 4096) {
    return absl::ResourceExhaustedError(absl::StrCat("one row takes ", row_bytes,
                                                     " bytes, a message at most ", kMaxMessageBytes,
                                                     ": ask for another encoding"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset->Shard(request.shard()));
  if (request.start_row() < 0 || request.start_row() > range.count) {
    return absl::InvalidArgumentError(
        absl::StrCat("start_row must be 0 to ", range.count, ", got ", request.start_row()));
  }
  std::shared_ptr<ShardLogits> logits;
  if (!plan.samples_alone()) {
    DISTILLERY_ASSIGN_OR_RETURN(logits, host->logits().Open(plan.teacher, dataset, request.shard(),
                                                            chunks.view, request.discard_stored()));
  }
  return std::unique_ptr<StreamedShard>(
      new StreamedShard(plan, std::move(dataset), range, row_bytes, std::move(logits), buffers));
}

v1::StreamSoftTargetsResponse StreamedShard::Header() const {
  v1::StreamSoftTargetsResponse message;
  message.mutable_header()->set_teacher_digest(plan_.teacher->info().digest);
  message.mutable_header()->set_dataset_digest(dataset_->digest());
  message.mutable_header()->set_row_count(row_count());
  message.mutable_header()->set_class_count(static_cast<int32_t>(dataset_->class_count()));
  for (const int64_t size : dataset_->spec().answer.positions) {
    message.mutable_header()->add_positions(size);
  }
  return message;
}

absl::StatusOr<std::optional<SoftTargetChunk>> StreamedShard::Make(
    int64_t row, const absl::StatusOr<LogitRows>& rows) {
  if (logits_ == nullptr) return maker_.MakeSamples(row, row_count() - row);
  if (!rows.ok()) return rows.status();
  // The cut may begin before the row that is due.
  LogitRows due = *rows;
  const int64_t skipped = row - due.first_row;
  if (due.data != nullptr) due.data += skipped * logits_->row_values() * (due.half ? 2 : 4);
  due.first_row = row;
  due.rows -= skipped;
  if (due.file == nullptr) return maker_.Make(due);
  const absl::StatusOr<LogitRows> loaded = maker_.Load(due);
  if (loaded.ok()) return maker_.Make(*loaded);
  logits_->Drop(*due.file, loaded.status());
  return std::optional<SoftTargetChunk>();
}

}  // namespace distillery
