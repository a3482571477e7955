#include "student_worker/rpc/teacher_client.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/rpc/soft_target_conversion.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "student_worker/rpc/dataset_messages.h"
#include "student_worker/rpc/shard_stream.h"

namespace distillery {
namespace {

constexpr absl::Duration kDigestDeadline = absl::Seconds(5);

v1::StreamSoftTargetsRequest ToProto(const ShardRequest& request, int64_t start_row) {
  v1::StreamSoftTargetsRequest proto;
  FillSelector(request.dataset, proto.mutable_dataset());
  proto.set_shard(static_cast<int32_t>(request.shard));
  proto.mutable_augmentation()->set_name(request.augmentation);
  proto.mutable_augmentation()->set_seed(request.augmentation_seed);
  proto.mutable_augmentation()->set_view(static_cast<int32_t>(request.view));
  proto.set_temperature(request.format.temperature);
  proto.set_representation(ToProto(request.format.representation));
  proto.set_encoding(ToProto(request.format.encoding));
  proto.set_top_k(static_cast<int32_t>(request.format.top_k));
  proto.set_start_row(start_row);
  proto.set_expected_teacher_digest(request.teacher_digest);
  proto.set_expected_dataset_digest(request.dataset_digest);
  return proto;
}

// `other_digest` is set to the teacher's if that is what is wrong.
absl::Status CheckHeader(const v1::SoftTargetHeader& header, const ShardRequest& request,
                         std::string* other_digest) {
  if (!request.teacher_digest.empty() && header.teacher_digest() != request.teacher_digest) {
    *other_digest = header.teacher_digest();
    return absl::FailedPreconditionError(absl::StrCat("teacher digest is ", header.teacher_digest(),
                                                      ", expected ", request.teacher_digest));
  }
  if (header.row_count() != request.row_count || header.class_count() != request.class_count) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the teacher's shard has ", header.row_count(), " rows of ", header.class_count(),
        " classes, ours ", request.row_count, " of ", request.class_count));
  }
  const std::vector<int64_t> positions(header.positions().begin(), header.positions().end());
  if (positions != request.answer.positions) {
    return absl::FailedPreconditionError(
        absl::StrCat("the teacher's rows have the positions [", absl::StrJoin(positions, ", "),
                     "], ours [", absl::StrJoin(request.answer.positions, ", "), "]"));
  }
  if (!request.dataset_digest.empty() && header.dataset_digest() != request.dataset_digest) {
    return absl::FailedPreconditionError(absl::StrCat("dataset digest is ", header.dataset_digest(),
                                                      ", expected ", request.dataset_digest));
  }
  return absl::OkStatus();
}

}  // namespace

TeacherClient::TeacherClient(TeacherChannels* teachers, CallCanceller* canceller,
                             std::function<void(const std::string&)> waiting)
    : canceller_(canceller), teachers_(teachers, std::move(waiting)) {}

absl::Status TeacherClient::ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                                      SoftTargetRows* rows) {
  *rows = SoftTargetRows();
  TeacherSet::Question question;
  question.key = {request->dataset_digest, request->shard, request->view};
  question.teacher_digest = request->teacher_digest;
  return teachers_.Ask(absl::StrCat("shard ", request->shard), &question, cancelled,
                       [&](const std::shared_ptr<grpc::Channel>& channel) {
                         AnyTeacher::Answer answer = ReadOnce(channel, request, rows);
                         question.teacher_digest = request->teacher_digest;
                         return answer;
                       });
}

AnyTeacher::Answer TeacherClient::ReadOnce(const std::shared_ptr<grpc::Channel>& channel,
                                           ShardRequest* request, SoftTargetRows* rows) {
  const int64_t held = rows->row_count;
  AnyTeacher::Answer answer;
  ShardHandlers handlers;
  handlers.header = [&](const v1::SoftTargetHeader& header) {
    absl::Status status = CheckHeader(header, *request, &answer.other_digest);
    if (!status.ok()) return status;
    request->teacher_digest = header.teacher_digest();
    if (held > 0) failover_count_.fetch_add(1);
    return status;
  };
  handlers.chunk = [&](const v1::SoftTargetChunk& chunk) -> absl::StatusOr<int64_t> {
    const int64_t before = rows->row_count;
    DISTILLERY_RETURN_IF_ERROR(AppendChunk(chunk, request->format, request->answer_shape(),
                                           request->row_count - before, rows));
    return rows->row_count - before;
  };
  v1::StreamSoftTargetsRequest proto = ToProto(*request, held);
  const auto read = [&](bool* differs) {
    answer.status =
        ReadShardStream(channel, proto, request->row_count, canceller_, handlers, differs);
    // What came with the damage is not to be trusted either.
    if (absl::IsDataLoss(answer.status)) rows->Truncate(held);
  };
  bool differs = false;
  read(&differs);
  if (differs) {
    // What the teacher keeps may be damaged, and would be at each try.
    LogWarning("shard {}: {}; asking the teacher to compute it anew", request->shard,
               std::string(answer.status.message()));
    proto.set_discard_stored(true);
    read(nullptr);
  }
  if (absl::IsFailedPrecondition(answer.status) && !request->teacher_digest.empty() &&
      answer.other_digest.empty()) {
    const std::string digest = DigestOf(channel);
    if (digest != request->teacher_digest) answer.other_digest = digest;
  }
  answer.progress = rows->row_count > held;
  return answer;
}

std::string TeacherClient::DigestOf(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDigestDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  v1::GetTeacherResponse response;
  const auto stub = v1::TeacherService::NewStub(channel);
  return stub->GetTeacher(&context, {}, &response).ok() ? response.teacher().teacher_digest() : "";
}

}  // namespace distillery
