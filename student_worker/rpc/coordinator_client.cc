#include "student_worker/rpc/coordinator_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/rpc/message_texts.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "common/weights/broadcast_encoding.h"
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
                              Request request) {
  MakeTextsWhole(&request);
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

// One upload: header, the chunks from header.start_offset on, and the trailer.
template <typename Request, typename Response, typename Header>
absl::Status SendFile(
    const std::shared_ptr<grpc::Channel>& channel, CallCanceller* canceller,
    std::unique_ptr<grpc::ClientWriter<Request>> (Stub::*method)(grpc::ClientContext*, Response*),
    const Header& header, const std::string& file) {
  const auto stub = v1::CoordinatorService::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kTransferDeadline));
  const CallCanceller::Scope scope(canceller, &context);
  Response response;
  const auto stream = (*stub.*method)(&context, &response);
  Request message;
  *message.mutable_header() = header;
  MakeTextsWhole(&message);
  bool open = stream->Write(message);
  int64_t chunks = 0;
  uint32_t crc = 0;
  const auto start = static_cast<size_t>(header.start_offset());
  const auto chunk_bytes = static_cast<size_t>(UploadChunkBytes(static_cast<int64_t>(file.size())));
  for (size_t offset = start; open && offset < file.size(); ++chunks) {
    const absl::string_view data = absl::string_view(file).substr(offset, chunk_bytes);
    v1::BytesChunk* const chunk = message.mutable_chunk();
    chunk->set_offset(static_cast<int64_t>(offset));
    chunk->set_data(data.data(), data.size());
    chunk->set_crc32c(Crc32c(data));
    crc = Crc32c(data, crc);
    open = stream->Write(message);
    offset += data.size();
    DISTILLERY_FAILPOINT("worker.upload.chunk");
  }
  if (open) {
    v1::BytesTrailer* const trailer = message.mutable_trailer();
    trailer->set_chunk_count(chunks);
    trailer->set_byte_count(static_cast<int64_t>(file.size() - start));
    trailer->set_crc32c(crc);
    if (stream->Write(message)) stream->WritesDone();
    DISTILLERY_FAILPOINT("worker.upload.sent");
  }
  const grpc::Status status = stream->Finish();
  DISTILLERY_FAILPOINT("worker.upload.done");
  return FromGrpcStatus(status);
}

absl::StatusOr<LeasedWork> ReadWork(const v1::LeaseTaskResponse& response) {
  LeasedWork work;
  work.wanted_numerics = response.wanted_numerics();
  if (!response.has_lease()) return work;
  WorkerTask task;
  DISTILLERY_ASSIGN_OR_RETURN(task.lease, FromProto(response.lease()));
  DISTILLERY_ASSIGN_OR_RETURN(task.spec, FromProto(response.spec()));
  task.weights_sha256 = response.weights_sha256();
  task.model_card_sha256 = response.model_card_sha256();
  task.expected_teacher_digest = response.expected_teacher_digest();
  task.expected_dataset_digest = response.expected_dataset_digest();
  task.lease_duration = absl::Seconds(response.lease_duration_seconds());
  work.task = std::move(task);
  return work;
}

}  // namespace

CoordinatorClient::CoordinatorClient(std::shared_ptr<Connection> connection,
                                     CallCanceller* canceller)
    : connection_(std::move(connection)), canceller_(canceller) {}

CoordinatorClient::CoordinatorClient(std::shared_ptr<grpc::Channel> channel,
                                     CallCanceller* canceller)
    : CoordinatorClient(Connection::Of(std::move(channel)), canceller) {}

absl::StatusOr<CoordinatorClient::Registration> CoordinatorClient::RegisterWorker(
    const std::string& request_id, const std::string& name, const std::string& fingerprint,
    const std::string& numerics, int64_t memory_bytes) {
  v1::RegisterWorkerRequest request;
  request.set_request_id(request_id);
  request.set_name(name);
  request.set_numerics_fingerprint(fingerprint);
  request.set_numerics(numerics);
  request.set_memory_bytes(memory_bytes);
  DISTILLERY_ASSIGN_OR_RETURN(const auto response, Call(channel(), canceller_, kUnaryDeadline,
                                                        &Stub::RegisterWorker, request));
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
      Call(channel(), canceller_, kUnaryDeadline + max_wait, &Stub::LeaseTask, request));
  return ReadWork(response);
}

absl::StatusOr<LeasedWork> CoordinatorClient::LeaseOfRequest(const std::string& request_id,
                                                             const std::string& worker_id) {
  v1::LeaseTaskRequest request;
  request.set_request_id(request_id);
  request.set_worker_id(worker_id);
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto response, Call(channel(), nullptr, kReleaseDeadline, &Stub::LeaseTask, request));
  return ReadWork(response);
}

absl::Status CoordinatorClient::RenewLease(const Lease& lease, int64_t sample_count,
                                           const std::string& waiting_for) {
  v1::RenewLeaseRequest request;
  *request.mutable_lease() = ToProto(lease);
  request.set_sample_count(sample_count);
  request.set_waiting_for(PlainText(waiting_for));
  return Call(channel(), canceller_, kUnaryDeadline, &Stub::RenewLease, request).status();
}

absl::Status CoordinatorClient::ReleaseTask(const std::string& request_id, const Lease& lease,
                                            bool failed, const std::string& message) {
  v1::ReleaseTaskRequest request;
  request.set_request_id(request_id);
  *request.mutable_lease() = ToProto(lease);
  request.set_reason(failed ? v1::RELEASE_REASON_FAILED : v1::RELEASE_REASON_STOPPING);
  request.set_message(PlainText(message));
  // Not cancellable: it is what a stopping worker says last.
  return Call(channel(), nullptr, kReleaseDeadline, &Stub::ReleaseTask, request).status();
}

absl::StatusOr<DownloadedWeights> CoordinatorClient::DownloadWeights(const std::string& run_id,
                                                                     int64_t round,
                                                                     PartialDownload* partial,
                                                                     const std::string& encoding) {
  v1::DownloadWeightsRequest request;
  request.set_encoding(encoding);
  request.set_run_id(run_id);
  request.set_round(static_cast<int32_t>(round));
  return Download(std::move(request), partial);
}

absl::StatusOr<DownloadedWeights> CoordinatorClient::DownloadUploadedWeights(
    const std::string& sha256, PartialDownload* partial) {
  v1::DownloadWeightsRequest request;
  request.set_uploaded_sha256(sha256);
  return Download(std::move(request), partial);
}

absl::StatusOr<DownloadedWeights> CoordinatorClient::Download(v1::DownloadWeightsRequest request,
                                                              PartialDownload* partial) {
  PartialDownload fresh;
  PartialDownload& held = partial == nullptr ? fresh : *partial;
  request.set_start_offset(static_cast<int64_t>(held.file.size()));
  const auto stub = v1::CoordinatorService::NewStub(channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kTransferDeadline));
  const CallCanceller::Scope scope(canceller_, &context);
  const auto stream = stub->DownloadWeights(&context, request);
  v1::DownloadWeightsResponse message;
  v1::WeightsHeader header;
  uint32_t crc = 0;
  bool complete = false;
  absl::Status problem;
  while (problem.ok() && !complete && stream->Read(&message)) {
    if (message.has_header()) {
      header = message.header();
      if (header.byte_count() < 0 || header.byte_count() > kMaxWeightsBytes) {
        problem = absl::ResourceExhaustedError("weights: over the size limit");
      } else if (!held.file.empty() && held.sha256 != header.sha256()) {
        // Other weights than those that began to come (the newest, of a later round).
        held = PartialDownload();
        problem = absl::UnavailableError("weights: they have changed");
      }
      held.sha256 = header.sha256();
    } else if (message.has_chunk()) {
      const std::string& data = message.chunk().data();
      if (message.chunk().offset() != static_cast<int64_t>(held.file.size()) ||
          static_cast<int64_t>(held.file.size() + data.size()) > header.byte_count()) {
        problem = absl::DataLossError("weights: the stream has a gap");
      } else if (message.chunk().crc32c() != Crc32c(data)) {
        problem = absl::DataLossError("weights: a chunk's checksum differs");
      } else {
        crc = Crc32c(data, crc);
        held.file += data;
        DISTILLERY_FAILPOINT("worker.download.chunk");
      }
    } else if (message.has_trailer()) {
      complete = message.trailer().crc32c() == crc &&
                 static_cast<int64_t>(held.file.size()) == header.byte_count();
      if (!complete) problem = absl::DataLossError("weights: the trailer does not match");
    }
  }
  if (!problem.ok()) context.TryCancel();
  const grpc::Status status = stream->Finish();
  if (!problem.ok()) return problem;
  if (!status.ok()) return FromGrpcStatus(status);
  if (!complete) return absl::UnavailableError("weights: the stream ended without its trailer");
  if (Sha256Hex(held.file) != header.sha256()) {
    return absl::DataLossError("weights: the SHA-256 differs from the header's");
  }
  const std::vector<std::string> buffers(header.buffer_names().begin(),
                                         header.buffer_names().end());
  absl::StatusOr<Weights> weights = request.encoding() == "float16"
                                        ? DecodeFloat16(held.file, buffers)
                                        : Weights::FromFile(std::move(held.file));
  if (!weights.ok()) return weights.status();
  return DownloadedWeights{*std::move(weights), header.weights_sha256(), request.encoding(),
                           buffers, header.model_card()};
}

int64_t CoordinatorClient::ReceivedBytes(const std::string& request_id) {
  v1::GetUploadRequest request;
  request.set_request_id(request_id);
  const auto response = Call(channel(), canceller_, kUnaryDeadline, &Stub::GetUpload, request);
  return response.ok() ? response->received_byte_count() : 0;
}

absl::Status CoordinatorClient::UploadDelta(const ResultHeader& result, const std::string& file,
                                            bool again) {
  v1::DeltaHeader header;
  header.set_request_id(result.request_id);
  *header.mutable_lease() = ToProto(result.lease);
  header.set_byte_count(static_cast<int64_t>(file.size()));
  *header.mutable_metrics() = ToProto(result.metrics);
  for (const std::string& name : result.buffer_names) header.add_buffer_names(name);
  header.set_teacher_digest(result.teacher_digest);
  header.set_dataset_digest(result.dataset_digest);
  header.set_model_card(result.model_card);
  header.set_delta_encoding(result.delta_encoding);
  header.mutable_samples_per_shard()->Add(result.samples_per_shard.begin(),
                                          result.samples_per_shard.end());
  if (again) header.set_start_offset(ReceivedBytes(result.request_id));
  return SendFile(channel(), canceller_, &Stub::UploadDelta, header, file);
}

absl::Status CoordinatorClient::UploadWeights(const std::string& request_id,
                                              const std::string& file, bool again) {
  v1::UploadWeightsHeader header;
  header.set_request_id(request_id);
  header.set_byte_count(static_cast<int64_t>(file.size()));
  header.set_sha256(Sha256Hex(file));
  if (again) header.set_start_offset(ReceivedBytes(request_id));
  return SendFile(channel(), canceller_, &Stub::UploadWeights, header, file);
}

absl::Status CoordinatorClient::ReportEvaluation(const std::string& request_id, const Lease& lease,
                                                 const EvaluationMetrics& metrics) {
  v1::ReportEvaluationRequest request;
  request.set_request_id(request_id);
  *request.mutable_lease() = ToProto(lease);
  *request.mutable_metrics() = ToProto(metrics);
  return Call(channel(), canceller_, kUnaryDeadline, &Stub::ReportEvaluation, request).status();
}

}  // namespace distillery
