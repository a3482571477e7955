#include "student_worker/teacher_client.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/rpc/soft_target_conversion.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"

namespace distillery {
namespace {

// A stream that takes longer is given up and resumed.
constexpr absl::Duration kStreamDeadline = absl::Minutes(10);
constexpr absl::Duration kDigestDeadline = absl::Seconds(5);
// How long a wait may overlook that it is cancelled.
constexpr absl::Duration kCancelPoll = absl::Milliseconds(50);

v1::StreamSoftTargetsRequest ToProto(const ShardRequest& request, int64_t start_row) {
  v1::StreamSoftTargetsRequest proto;
  proto.mutable_dataset()->set_name(request.dataset.name);
  proto.mutable_dataset()->set_split(request.dataset.split);
  proto.mutable_dataset()->set_shard_size(static_cast<int32_t>(request.dataset.shard_size));
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
    return absl::FailedPreconditionError(absl::StrCat(
        "teacher digest is ", header.teacher_digest(), ", expected ", request.teacher_digest));
  }
  if (header.row_count() != request.row_count || header.class_count() != request.class_count) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the teacher's shard has ", header.row_count(), " rows of ", header.class_count(),
        " classes, ours ", request.row_count, " of ", request.class_count));
  }
  if (!request.dataset_digest.empty() && header.dataset_digest() != request.dataset_digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "dataset digest is ", header.dataset_digest(), ", expected ", request.dataset_digest));
  }
  return absl::OkStatus();
}

bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status) ||
         absl::IsResourceExhausted(status);
}

// Appends the rows of a chunk. DATA_LOSS unless it goes on where `rows` ends and stays in the shard.
absl::Status AppendNext(const v1::SoftTargetChunk& chunk, const ShardRequest& request,
                        uint32_t* crc, SoftTargetRows* rows) {
  if (chunk.start_row() != rows->row_count) {
    return absl::DataLossError(absl::StrCat("the teacher's stream goes on at row ",
                                            chunk.start_row(), ", expected ", rows->row_count));
  }
  *crc = ChunkCrc32c(chunk, *crc);
  return AppendChunk(chunk, request.format, request.class_count,
                     request.row_count - rows->row_count, rows);
}

}  // namespace

TeacherClient::TeacherClient(TeacherChannels* teachers, CallCanceller* canceller,
                             std::function<void(const std::string&)> waiting)
    : teachers_(teachers), canceller_(canceller), waiting_(std::move(waiting)) {}

absl::Status TeacherClient::ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                                      SoftTargetRows* rows) {
  *rows = SoftTargetRows();
  TeacherSet::Question question;
  question.key = {request->dataset_digest, request->shard, request->view};
  std::string told;
  while (!cancelled()) {
    question.teacher_digest = request->teacher_digest;
    DISTILLERY_ASSIGN_OR_RETURN(const std::optional<TeacherChannels::Teacher> teacher,
                                teachers_->Pick(question));
    if (teacher.has_value()) {
      const int64_t held = rows->row_count;
      const StreamEnd end = ReadOnce(teacher->channel, request, rows);
      if (cancelled()) break;
      Learn(*teacher, *request, end, /*progress=*/rows->row_count > held, &question);
      if (!end.status.ok()) continue;
      if (!told.empty()) waiting_("");
      return absl::OkStatus();
    }
    const TeacherSet::Outlook outlook = teachers_->set().Consider(question);
    if (!outlook.status.ok()) {
      if (!told.empty()) waiting_("");
      return outlook.status;
    }
    if (!outlook.waiting_for.empty() && outlook.waiting_for != told) {
      if (told.empty()) spdlog::warn("no teacher answers for shard {}; waiting", request->shard);
      told = outlook.waiting_for;
      waiting_(absl::StrCat("waiting for ", told));
      if (cancelled()) break;
    }
    teachers_->set().AwaitNews(std::min(outlook.wait, kCancelPoll));
  }
  return absl::CancelledError("cancelled");
}

void TeacherClient::Learn(const TeacherChannels::Teacher& teacher, const ShardRequest& request,
                          const StreamEnd& end, bool progress, TeacherSet::Question* question) {
  TeacherSet& set = teachers_->set();
  const TeacherAddress& address = teacher.address;
  const std::string message(end.status.message());
  if (end.status.ok()) {
    if (set.Succeeded(address.target)) spdlog::info("teacher {} is back", address.label);
  } else if (!end.other_digest.empty()) {
    if (set.LeaveOut(address.target, request.teacher_digest, end.other_digest)) {
      spdlog::warn("teacher {} is left out: its digest is {}, expected {}", address.label,
                   end.other_digest, request.teacher_digest);
    }
  } else if (IsPassing(end.status)) {
    if (set.Failed(address.target, end.status, progress)) {
      spdlog::warn("teacher {}: {}", address.label, message);
    }
  } else {
    spdlog::debug("teacher {} refuses shard {}: {}", address.label, request.shard, message);
    question->refusals.emplace(address.target, end.status);
  }
}

TeacherClient::StreamEnd TeacherClient::ReadOnce(const std::shared_ptr<grpc::Channel>& channel,
                                                 ShardRequest* request, SoftTargetRows* rows) {
  const auto stub = v1::TeacherService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kStreamDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  const int64_t held = rows->row_count;
  const auto stream = stub->StreamSoftTargets(&context, ToProto(*request, held));
  v1::StreamSoftTargetsResponse message;
  uint32_t crc = 0;
  bool header_seen = false;
  bool complete = false;
  absl::Status problem;
  StreamEnd end;
  while (problem.ok() && !complete && stream->Read(&message)) {
    if (message.has_header()) {
      problem = CheckHeader(message.header(), *request, &end.other_digest);
      if (!problem.ok()) break;
      request->teacher_digest = message.header().teacher_digest();
      if (!header_seen && held > 0) failover_count_.fetch_add(1);
      header_seen = true;
    } else if (!header_seen) {
      problem = absl::DataLossError("the teacher's stream does not begin with its header");
    } else if (message.has_chunk()) {
      problem = AppendNext(message.chunk(), *request, &crc, rows);
    } else if (message.has_trailer()) {
      if (message.trailer().row_count() != rows->row_count - held ||
          message.trailer().crc32c() != crc) {
        problem = absl::DataLossError("the teacher's stream does not match its trailer");
      }
      complete = problem.ok();
    }
  }
  if (!problem.ok()) context.TryCancel();
  end.status = FromGrpcStatus(stream->Finish());
  if (!problem.ok()) end.status = problem;
  // What came with the damage is not to be trusted either.
  if (absl::IsDataLoss(problem)) rows->Truncate(held);
  if (end.status.ok() && (!complete || rows->row_count != request->row_count)) {
    end.status = absl::AbortedError("the stream ended without its trailer");
  }
  if (absl::IsFailedPrecondition(end.status) && !request->teacher_digest.empty() &&
      end.other_digest.empty()) {
    const std::string digest = DigestOf(channel);
    if (digest != request->teacher_digest) end.other_digest = digest;
  }
  return end;
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
