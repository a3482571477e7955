#include "student_worker/coordinator_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/checksum.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {
namespace {

using Stub = v1::CoordinatorService::Stub;

constexpr absl::Duration kUnaryDeadline = absl::Seconds(20);
constexpr absl::Duration kReleaseDeadline = absl::Seconds(2);
constexpr absl::Duration kTransferDeadline = absl::Minutes(30);
constexpr int64_t kMaxWeightsBytes = int64_t{16} << 30;

// One unary call with a deadline, cancellable if `canceller` is given.
template <typename Request, typename Response>
absl::StatusOr<Response> Call(const std::shared_ptr<grpc::Channel>& channel,
                              CallCanceller* canceller, absl::Duration deadline,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  const auto stub = v1::CoordinatorService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
  CallCanceller unused;
  const CallCanceller::Scope scope(canceller == nullptr ? &unused : canceller, &context);
  Response response;
  const grpc::Status status = (*stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

}  // namespace

CoordinatorClient::CoordinatorClient(std::shared_ptr<grpc::Channel> channel,
                                     CallCanceller* canceller)
    : channel_(std::move(channel)), canceller_(canceller) {}

absl::StatusOr<CoordinatorClient::Registration> CoordinatorClient::RegisterWorker(
    const std::string& request_id, const std::string& name, const std::string& fingerprint,
    const std::string& numerics) {
  v1::RegisterWorkerRequest request;
  request.set_request_id(request_id);
  request.set_name(name);
  request.set_numerics_fingerprint(fingerprint);
  request.set_numerics(numerics);
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto response,
      Call(channel_, canceller_, kUnaryDeadline, &Stub::RegisterWorker, request));
  return Registration{response.worker_id(), absl::Seconds(response.lease_duration_seconds())};
}

absl::StatusOr<LeasedWork> CoordinatorClient::LeaseTask(const std::string& request_id,
                                                        const std::string& worker_id,
                                                        absl::Duration max_wait) {
  v1::LeaseTaskRequest request;
  request.set_request_id(request_id);
  request.set_worker_id(worker_id);
  request.set_max_wait_seconds(absl::ToDoubleSeconds(max_wait));
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto response,
      Call(channel_, canceller_, kUnaryDeadline + max_wait, &Stub::LeaseTask, request));
  LeasedWork work;
  work.wanted_numerics = response.wanted_numerics();
  if (!response.has_lease()) return work;
  WorkerTask task;
  DISTILLERY_ASSIGN_OR_RETURN(task.lease, FromProto(response.lease()));
  DISTILLERY_ASSIGN_OR_RETURN(task.spec, FromProto(response.spec()));
  task.weights_sha256 = response.weights_sha256();
  task.expected_teacher_digest = response.expected_teacher_digest();
  task.expected_dataset_digest = response.expected_dataset_digest();
  task.lease_duration = absl::Seconds(response.lease_duration_seconds());
  work.task = std::move(task);
  return work;
}

absl::Status CoordinatorClient::RenewLease(const Lease& lease, int64_t sample_count,
                                           const std::string& waiting_for) {
  v1::RenewLeaseRequest request;
  *request.mutable_lease() = ToProto(lease);
  request.set_sample_count(sample_count);
  request.set_waiting_for(waiting_for);
  return Call(channel_, canceller_, kUnaryDeadline, &Stub::RenewLease, request).status();
}

absl::Status CoordinatorClient::ReleaseTask(const Lease& lease, bool failed,
                                            const std::string& message) {
  v1::ReleaseTaskRequest request;
  request.set_request_id(RandomHex(16));
  *request.mutable_lease() = ToProto(lease);
  request.set_reason(failed ? v1::RELEASE_REASON_FAILED : v1::RELEASE_REASON_STOPPING);
  request.set_message(message);
  // Not cancellable: it is what a stopping worker says last.
  return Call(channel_, nullptr, kReleaseDeadline, &Stub::ReleaseTask, request).status();
}

absl::StatusOr<DownloadedWeights> CoordinatorClient::DownloadWeights(const std::string& run_id,
                                                                     int64_t round) {
  v1::DownloadWeightsRequest request;
  request.set_run_id(run_id);
  request.set_round(static_cast<int32_t>(round));
  const auto stub = v1::CoordinatorService::NewStub(channel_);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kTransferDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  const auto stream = stub->DownloadWeights(&context, request);
  v1::DownloadWeightsResponse message;
  v1::WeightsHeader header;
  std::string file;
  uint32_t crc = 0;
  bool complete = false;
  absl::Status problem;
  while (problem.ok() && !complete && stream->Read(&message)) {
    if (message.has_header()) {
      header = message.header();
      if (header.byte_count() < 0 || header.byte_count() > kMaxWeightsBytes) {
        problem = absl::ResourceExhaustedError("weights: over the size limit");
      }
    } else if (message.has_chunk()) {
      const std::string& data = message.chunk().data();
      if (message.chunk().offset() != static_cast<int64_t>(file.size()) ||
          static_cast<int64_t>(file.size() + data.size()) > header.byte_count()) {
        problem = absl::DataLossError("weights: the stream has a gap");
      }
      crc = Crc32c(data, crc);
      file += data;
    } else if (message.has_trailer()) {
      complete = message.trailer().crc32c() == crc &&
                 static_cast<int64_t>(file.size()) == header.byte_count();
      if (!complete) problem = absl::DataLossError("weights: the trailer does not match");
    }
  }
  if (!problem.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (!problem.ok()) return problem;
  if (!status.ok()) return FromGrpcStatus(status);
  if (!complete) return absl::UnavailableError("weights: the stream ended without its trailer");
  if (Sha256Hex(file) != header.sha256()) {
    return absl::DataLossError("weights: the SHA-256 differs from the header's");
  }
  DISTILLERY_ASSIGN_OR_RETURN(Weights weights, Weights::FromFile(std::move(file)));
  return DownloadedWeights{std::move(weights),
                           header.sha256(),
                           {header.buffer_names().begin(), header.buffer_names().end()},
                           header.model_card()};
}

absl::Status CoordinatorClient::UploadDelta(const ResultHeader& result, const std::string& file) {
  const auto stub = v1::CoordinatorService::NewStub(channel_);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kTransferDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  v1::UploadDeltaResponse response;
  const auto stream = stub->UploadDelta(&context, &response);
  v1::UploadDeltaRequest message;
  v1::DeltaHeader* const header = message.mutable_header();
  header->set_request_id(result.request_id);
  *header->mutable_lease() = ToProto(result.lease);
  header->set_byte_count(static_cast<int64_t>(file.size()));
  *header->mutable_metrics() = ToProto(result.metrics);
  for (const std::string& name : result.buffer_names) header->add_buffer_names(name);
  header->set_teacher_digest(result.teacher_digest);
  header->set_dataset_digest(result.dataset_digest);
  header->set_model_card(result.model_card);
  bool open = stream->Write(message);
  int64_t chunks = 0;
  for (size_t offset = 0; open && offset < file.size(); ++chunks) {
    const size_t size = std::min<size_t>(kChunkBytes, file.size() - offset);
    message.mutable_chunk()->set_offset(static_cast<int64_t>(offset));
    message.mutable_chunk()->set_data(file.data() + offset, size);
    open = stream->Write(message);
    offset += size;
  }
  if (open) {
    v1::BytesTrailer* const trailer = message.mutable_trailer();
    trailer->set_chunk_count(chunks);
    trailer->set_byte_count(static_cast<int64_t>(file.size()));
    trailer->set_crc32c(Crc32c(file));
    if (stream->Write(message)) stream->WritesDone();
  }
  return FromGrpcStatus(stream->Finish());
}

absl::Status CoordinatorClient::ReportEvaluation(const std::string& request_id,
                                                 const Lease& lease,
                                                 const EvaluationMetrics& metrics) {
  v1::ReportEvaluationRequest request;
  request.set_request_id(request_id);
  *request.mutable_lease() = ToProto(lease);
  *request.mutable_metrics() = ToProto(metrics);
  return Call(channel_, canceller_, kUnaryDeadline, &Stub::ReportEvaluation, request).status();
}

}  // namespace distillery
