#include "coordinator/rpc/upload_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/status_macros.h"
#include "common/rpc/caller.h"
#include "common/rpc/chunk_message.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/upload/delta_upload.h"
#include "coordinator/upload/weights_upload.h"

namespace distillery {
namespace {

absl::StatusOr<UploadHeader> ReadHeader(const v1::DeltaHeader& proto) {
  UploadHeader header;
  DISTILLERY_ASSIGN_OR_RETURN(header.lease, FromProto(proto.lease()));
  header.request_id = proto.request_id();
  header.byte_count = proto.byte_count();
  header.metrics = FromProto(proto.metrics());
  header.buffer_names.assign(proto.buffer_names().begin(), proto.buffer_names().end());
  std::sort(header.buffer_names.begin(), header.buffer_names.end());
  header.teacher_digest = proto.teacher_digest();
  header.dataset_digest = proto.dataset_digest();
  header.model_card = proto.model_card();
  header.delta_encoding = proto.delta_encoding();
  header.samples_per_shard.assign(proto.samples_per_shard().begin(),
                                  proto.samples_per_shard().end());
  return header;
}

absl::StatusOr<WeightsHeader> ReadHeader(const v1::UploadWeightsHeader& proto) {
  return WeightsHeader{proto.request_id(), proto.byte_count(), proto.sha256()};
}

absl::StatusOr<std::unique_ptr<Upload>> Begin(Coordinator* coordinator, UploadHeader header) {
  return DeltaUpload::Begin(coordinator, std::move(header));
}

absl::StatusOr<std::unique_ptr<Upload>> Begin(Coordinator* coordinator,
                                              const WeightsHeader& header) {
  return WeightsUpload::Begin(coordinator, header);
}

// Whether the caller may send it.
absl::Status CheckCaller(const UploadContext& context, const UploadHeader& header) {
  return context.coordinator->leases().CheckCaller(header.lease.worker_id,
                                                   CertificateNameOf(*context.call));
}
absl::Status CheckCaller(const UploadContext& /*context*/, const WeightsHeader& /*header*/) {
  return absl::OkStatus();
}

// Whom limits count: a lease, or a client that sends weights to start from. The lease is what the
// header says and not looked at yet, so who names another's lease is counted by itself.
std::string OwnerOf(const UploadContext& context, const UploadHeader& header) {
  return absl::StrCat("lease ", header.lease.fencing_token, " of ", header.lease.worker_id, ", ",
                      ClientOf(*context.call));
}
std::string OwnerOf(const UploadContext& context, const WeightsHeader& /*header*/) {
  return absl::StrCat("client ", ClientOf(*context.call));
}

// Uploads under way, parked ones included.
ClientLimits* LimitsFor(const UploadContext& context, const UploadHeader& /*header*/) {
  return context.lease_limits;
}
ClientLimits* LimitsFor(const UploadContext& context, const WeightsHeader& /*header*/) {
  return context.client_limits;
}

std::string IdentityOf(const UploadHeader& header) { return DeltaUpload::IdentityOf(header); }
std::string IdentityOf(const WeightsHeader& header) { return WeightsUpload::IdentityOf(header); }

// One message at a time: read, handled on the pool, then the next is read. The data of a chunk is
// handled where gRPC received it.
template <typename Request, typename Response>
class UploadReactor : public grpc::ServerReadReactor<grpc::ByteBuffer>, public WatchedStream {
 public:
  UploadReactor(const UploadContext& context, grpc::ByteBuffer* response)
      : context_(context), response_(response) {
    context_.watch->Add(this);
  }

  void Start() { Read(); }
  void OnReadDone(bool ok) override {
    absl::Status stopped;
    {
      MutexLock lock(mutex_);
      read_.End();
      stopped = outcome_;
      if (state_ == State::kReading) state_ = State::kHandling;
    }
    if (!stopped.ok() && !absl::IsResourceExhausted(stopped)) return End(stopped);
    if (!ok) {
      // What was received is good: the next stream may go on from there.
      if (upload_ != nullptr && upload_->received_bytes() > 0) {
        context_.parked->Park(ClientOf(*context_.call), owner_, std::move(upload_));
      }
      if (!stopped.ok()) return End(stopped);
      return End(absl::AbortedError("the upload ended without its trailer"));
    }
    context_.pool->Add([this] {
      const absl::StatusOr<bool> last = Handle();
      if (!last.ok() || *last) return End(last.status());
      bytes_.Clear();
      Read();
    });
  }
  void OnDone() override {
    context_.watch->Remove(this);
    delete this;
  }
  void EndIfIdle(absl::Duration now, absl::Duration limit) override {
    {
      MutexLock lock(mutex_);
      // While it waits for its client, nobody else touches the upload.
      if (state_ != State::kReading) return;
      if (read_.Longer(now, limit)) {
        outcome_ = absl::ResourceExhaustedError(
            NoteIdle("upload: the client sent nothing", limit, ClientOf(*context_.call)));
      } else if (upload_ != nullptr) {
        outcome_ = upload_->StillWanted();
      }
      if (outcome_.ok()) return;
      state_ = State::kStopping;
    }
    context_.call->TryCancel();  // the read will not end by itself
  }

 private:
  enum class State { kReading, kHandling, kStopping };

  void Read() {
    {
      MutexLock lock(mutex_);
      if (state_ == State::kHandling) state_ = State::kReading;
      read_.Begin(context_.watch->clock()->SteadyNow());
    }
    this->StartRead(&bytes_);
  }
  // True: that was the trailer, and all is taken.
  absl::StatusOr<bool> Handle() {
    if (const auto chunk = ReadChunkMessage(&bytes_); chunk.has_value() && upload_ != nullptr) {
      DISTILLERY_RETURN_IF_ERROR(Append(chunk->offset, chunk->data, chunk->crc32c));
      return false;
    }
    DISTILLERY_RETURN_IF_ERROR(ParseMessage(&bytes_, &message_));
    switch (message_.message_case()) {
      case Request::kHeader:
        DISTILLERY_RETURN_IF_ERROR(BeginStream());
        return false;
      case Request::kChunk:
        if (upload_ == nullptr) return absl::InvalidArgumentError("chunk: sent before the header");
        DISTILLERY_RETURN_IF_ERROR(
            Append(message_.chunk().offset(), message_.chunk().data(), message_.chunk().crc32c()));
        return false;
      case Request::kTrailer: {
        if (upload_ == nullptr) {
          return absl::InvalidArgumentError("trailer: sent before the header");
        }
        const v1::BytesTrailer& trailer = message_.trailer();
        DISTILLERY_ASSIGN_OR_RETURN(
            const bool duplicate,
            upload_->Finish(trailer.chunk_count(), trailer.byte_count(), trailer.crc32c(),
                            [this] { return context_.call->IsCancelled(); }));
        Response response;
        response.set_duplicate(duplicate);
        *response_ = SerializeMessage(response);
        return true;
      }
      default:
        return absl::InvalidArgumentError("message: none is set");
    }
  }

  template <typename Data>
  absl::Status Append(int64_t offset, const Data& data, uint32_t crc) {
    DISTILLERY_RETURN_IF_ERROR(upload_->Append(offset, data, crc));
    DISTILLERY_FAILPOINT("coordinator.upload.chunk");
    return absl::OkStatus();
  }

  absl::Status BeginStream() {
    if (upload_ != nullptr) return absl::InvalidArgumentError("header: sent twice");
    const int64_t start_offset = message_.header().start_offset();
    DISTILLERY_ASSIGN_OR_RETURN(auto header, ReadHeader(message_.header()));
    DISTILLERY_RETURN_IF_ERROR(CheckCaller(context_, header));
    owner_ = OwnerOf(context_, header);
    std::unique_ptr<Upload> parked =
        context_.parked->Take(ClientOf(*context_.call), header.request_id, IdentityOf(header));
    if (start_offset > 0 && parked != nullptr) {
      upload_ = std::move(parked);
    } else if (start_offset > 0) {
      return absl::UnavailableError(
          "header.start_offset: nothing is kept of this upload, begin at 0");
    } else {
      parked.reset();  // gives its place back
      DISTILLERY_ASSIGN_OR_RETURN(ClientLimits::Place place,
                                  LimitsFor(context_, header)->Enter(owner_));
      DISTILLERY_ASSIGN_OR_RETURN(upload_, Begin(context_.coordinator, std::move(header)));
      upload_->Hold(std::move(place));
    }
    return upload_->BeginStream(start_offset);
  }

  void End(const absl::Status& status) {
    upload_.reset();
    if (!context_.coordinator->NoteWrite(status).ok()) {
      context_.coordinator->statistics().Add(Count::kUploadsRejected,
                                             absl::StatusCodeToString(status.code()));
    }
    if (!status.ok()) *response_ = SerializeMessage(Response());
    this->Finish(ToGrpcStatus(status, context_.coordinator->state_dir()));
  }

  const UploadContext context_;
  grpc::ByteBuffer* const response_;
  // As received, and parsed where it is no chunk.
  grpc::ByteBuffer bytes_;
  Request message_;
  std::unique_ptr<Upload> upload_;
  // Whom limits count for the upload.
  std::string owner_;

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kHandling;
  // Waiting: for the client's next message.
  ClientWait read_ ABSL_GUARDED_BY(mutex_);
  // Why it stops.
  absl::Status outcome_ ABSL_GUARDED_BY(mutex_);
};

template <typename Request, typename Response>
grpc::ServerReadReactor<grpc::ByteBuffer>* Start(const UploadContext& context,
                                                 grpc::ByteBuffer* response) {
  auto* const reactor = new UploadReactor<Request, Response>(context, response);
  reactor->Start();
  return reactor;
}

}  // namespace

grpc::ServerReadReactor<grpc::ByteBuffer>* StartDeltaUpload(const UploadContext& context,
                                                            grpc::ByteBuffer* response) {
  return Start<v1::UploadDeltaRequest, v1::UploadDeltaResponse>(context, response);
}

grpc::ServerReadReactor<grpc::ByteBuffer>* StartWeightsUpload(const UploadContext& context,
                                                              grpc::ByteBuffer* response) {
  return Start<v1::UploadWeightsRequest, v1::UploadWeightsResponse>(context, response);
}

}  // namespace distillery
