#include "student_worker/teacher_client.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/backoff.h"
#include "common/base/checksum.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"

namespace distillery {
namespace {

// A stream that takes longer is given up and resumed.
constexpr absl::Duration kStreamDeadline = absl::Minutes(10);

v1::StreamSoftTargetsRequest ToProto(const ShardRequest& request, int64_t start_row) {
  v1::StreamSoftTargetsRequest proto;
  proto.mutable_dataset()->set_name(request.dataset.name);
  proto.mutable_dataset()->set_split(request.dataset.split);
  proto.mutable_dataset()->set_shard_size(static_cast<int32_t>(request.dataset.shard_size));
  proto.set_shard(static_cast<int32_t>(request.shard));
  proto.mutable_augmentation()->set_name(request.augmentation);
  proto.mutable_augmentation()->set_seed(request.augmentation_seed);
  proto.mutable_augmentation()->set_view(static_cast<int32_t>(request.view));
  proto.set_temperature(request.temperature);
  proto.set_representation(v1::REPRESENTATION_LOGITS);
  proto.set_encoding(v1::ENCODING_FLOAT32);
  proto.set_start_row(start_row);
  proto.set_expected_teacher_digest(request.teacher_digest);
  proto.set_expected_dataset_digest(request.dataset_digest);
  return proto;
}

absl::Status CheckHeader(const v1::SoftTargetHeader& header, const ShardRequest& request) {
  if (header.row_count() != request.row_count || header.class_count() != request.class_count) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the teacher's shard has ", header.row_count(), " rows of ", header.class_count(),
        " classes, ours ", request.row_count, " of ", request.class_count));
  }
  if (!request.teacher_digest.empty() && header.teacher_digest() != request.teacher_digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "teacher digest is ", header.teacher_digest(), ", expected ", request.teacher_digest));
  }
  if (!request.dataset_digest.empty() && header.dataset_digest() != request.dataset_digest) {
    return absl::FailedPreconditionError(absl::StrCat(
        "dataset digest is ", header.dataset_digest(), ", expected ", request.dataset_digest));
  }
  return absl::OkStatus();
}

}  // namespace

TeacherClient::TeacherClient(std::shared_ptr<grpc::Channel> channel, std::string address,
                             CallCanceller* canceller,
                             std::function<void(const std::string&)> waiting)
    : channel_(std::move(channel)),
      address_(std::move(address)),
      canceller_(canceller),
      waiting_(std::move(waiting)) {}

absl::Status TeacherClient::ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                                      std::vector<float>* rows) {
  rows->clear();
  Backoff backoff;
  bool waited = false;
  while (true) {
    if (cancelled()) return absl::CancelledError("cancelled");
    const size_t before = rows->size();
    const absl::Status status = ReadOnce(request, rows);
    const bool passing = absl::IsUnavailable(status) || absl::IsAborted(status) ||
                         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
    if (status.ok() || !passing) {
      if (waited) waiting_("");
      return status;
    }
    if (cancelled()) return absl::CancelledError("cancelled");
    if (rows->size() > before) backoff.Reset();
    const std::string text = absl::StrCat("teacher ", address_, ": ",
                                          std::string(status.message()));
    if (!waited) spdlog::warn("{}; waiting for it", text);
    waiting_(absl::StrCat("waiting for ", text));
    waited = true;
    absl::SleepFor(backoff.Next());
  }
}

absl::Status TeacherClient::ReadOnce(ShardRequest* request, std::vector<float>* rows) {
  const auto classes = static_cast<size_t>(request->class_count);
  const auto stub = v1::TeacherService::NewStub(channel_);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kStreamDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  const auto first_row = static_cast<int64_t>(rows->size() / classes);
  const auto stream = stub->StreamSoftTargets(&context, ToProto(*request, first_row));
  v1::StreamSoftTargetsResponse message;
  uint32_t crc = 0;
  bool header_seen = false;
  bool complete = false;
  absl::Status problem;
  while (problem.ok() && !complete && stream->Read(&message)) {
    if (message.has_header()) {
      problem = CheckHeader(message.header(), *request);
      request->teacher_digest = message.header().teacher_digest();
      header_seen = true;
    } else if (message.has_chunk()) {
      const v1::SoftTargetChunk& chunk = message.chunk();
      const std::string& data = chunk.values().data();
      const auto next_row = static_cast<int64_t>(rows->size() / classes);
      if (!header_seen || chunk.start_row() != next_row ||
          data.size() % (classes * sizeof(float)) != 0 ||
          next_row + static_cast<int64_t>(data.size() / (classes * sizeof(float))) >
              request->row_count) {
        problem = absl::DataLossError("the teacher's stream has a gap or a wrong size");
        break;
      }
      crc = Crc32c(data, crc);
      const size_t old_size = rows->size();
      rows->resize(old_size + data.size() / sizeof(float));
      std::memcpy(rows->data() + old_size, data.data(), data.size());
    } else if (message.has_trailer()) {
      const auto received = static_cast<int64_t>(rows->size() / classes) - first_row;
      if (message.trailer().row_count() != received || message.trailer().crc32c() != crc) {
        rows->resize(static_cast<size_t>(first_row) * classes);
        problem = absl::DataLossError("the teacher's stream does not match its trailer");
      }
      complete = problem.ok();
    }
  }
  if (!problem.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (!problem.ok()) return problem;
  if (!status.ok()) return FromGrpcStatus(status);
  if (!complete || static_cast<int64_t>(rows->size() / classes) != request->row_count) {
    return absl::AbortedError("the stream ended without its trailer");
  }
  return absl::OkStatus();
}

}  // namespace distillery
