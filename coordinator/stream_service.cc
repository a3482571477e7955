#include "coordinator/stream_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "coordinator/delta_upload.h"
#include "coordinator/view_service.h"

namespace distillery {
namespace {

// Sends the run each time it changes, one message in flight; changes meanwhile are merged into one.
class WatchReactor : public grpc::ServerWriteReactor<v1::WatchRunResponse> {
 public:
  WatchReactor(Coordinator* coordinator, std::string run_id)
      : coordinator_(coordinator), run_id_(std::move(run_id)),
        listener_(std::make_shared<Listener>(this)) {}

  void Start() {
    const absl::Status status = coordinator_->Watch(run_id_, listener_);
    if (!status.ok()) {
      Finish(ToGrpcStatus(status));
      return;
    }
    listener_->OnRunChanged();
  }
  void OnWriteDone(bool ok) override { listener_->Written(ok); }
  void OnCancel() override { listener_->Cancelled(); }
  void OnDone() override {
    listener_->Detach();
    delete this;
  }

 private:
  // Outlives the reactor for as long as the coordinator may call it.
  class Listener : public RunListener {
   public:
    explicit Listener(WatchReactor* reactor) : reactor_(reactor) {}
    void OnRunChanged() override {
      MutexLock lock(mutex_);
      changed_ = true;
      Next();
    }
    void Written(bool ok) {
      MutexLock lock(mutex_);
      writing_ = false;
      broken_ = broken_ || !ok;
      Next();
    }
    void Cancelled() {
      MutexLock lock(mutex_);
      broken_ = true;
      Next();
    }
    void Detach() {
      MutexLock lock(mutex_);
      reactor_ = nullptr;
    }

   private:
    void Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (reactor_ == nullptr || finished_ || writing_) return;
      if (broken_ || last_) {
        finished_ = true;
        reactor_->Finish(broken_ ? grpc::Status::CANCELLED : grpc::Status::OK);
        return;
      }
      if (!changed_) return;
      changed_ = false;
      const absl::StatusOr<RunView> view = reactor_->coordinator_->GetRun(reactor_->run_id_);
      const bool closing = reactor_->coordinator_->closing();
      if (!view.ok() || (closing && !Ended(view->row.state))) {
        finished_ = true;
        reactor_->Finish(ToGrpcStatus(
            view.ok() ? absl::UnavailableError("the coordinator is stopping") : view.status()));
        return;
      }
      last_ = Ended(view->row.state);
      writing_ = true;
      reactor_->message_.Clear();
      FillRun(*view, reactor_->message_.mutable_run());
      reactor_->StartWrite(&reactor_->message_);
    }

    Mutex mutex_;
    WatchReactor* reactor_ ABSL_GUARDED_BY(mutex_);
    bool changed_ ABSL_GUARDED_BY(mutex_) = false;
    bool writing_ ABSL_GUARDED_BY(mutex_) = false;
    bool last_ ABSL_GUARDED_BY(mutex_) = false;
    bool broken_ ABSL_GUARDED_BY(mutex_) = false;
    bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  };

  Coordinator* const coordinator_;
  const std::string run_id_;
  const std::shared_ptr<Listener> listener_;
  v1::WatchRunResponse message_;
};

// Header, chunks, trailer; the next message is made when the one before is on its way.
class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadWeightsResponse> {
 public:
  DownloadReactor(Coordinator* coordinator, const v1::DownloadWeightsRequest& request,
                  TaskPool* pool)
      : coordinator_(coordinator), request_(request), pool_(pool) {}

  void Start() {
    absl::StatusOr<WeightsFile> weights =
        coordinator_->OpenWeights(request_.run_id(), request_.round());
    if (!weights.ok()) return End(weights.status());
    weights_ = *std::move(weights);
    const auto size = static_cast<int64_t>(weights_.file->bytes().size());
    offset_ = request_.start_offset();
    if (offset_ < 0 || offset_ > size) {
      return End(absl::InvalidArgumentError(
          absl::StrCat("start_offset must be 0 to ", size, ", got ", offset_)));
    }
    v1::WeightsHeader* const header = message_.mutable_header();
    header->set_byte_count(size);
    header->set_sha256(weights_.sha256);
    header->set_round(static_cast<int32_t>(weights_.round));
    for (const std::string& name : weights_.buffer_names) header->add_buffer_names(name);
    header->set_model_card(weights_.model_card);
    StartWrite(&message_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the client went away"));
    if (trailer_sent_) return End(absl::OkStatus());
    pool_->Add([this] { WriteNext(); });
  }
  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    const absl::string_view rest =
        weights_.file->bytes().substr(static_cast<size_t>(offset_));
    if (rest.empty()) {
      v1::BytesTrailer* const trailer = message_.mutable_trailer();
      trailer->set_chunk_count(chunks_);
      trailer->set_byte_count(offset_ - request_.start_offset());
      trailer->set_crc32c(crc_);
      trailer_sent_ = true;
    } else {
      const absl::string_view data = rest.substr(0, kChunkBytes);
      v1::BytesChunk* const chunk = message_.mutable_chunk();
      chunk->set_offset(offset_);
      chunk->set_data(data.data(), data.size());
      crc_ = Crc32c(data, crc_);
      offset_ += static_cast<int64_t>(data.size());
      ++chunks_;
    }
    StartWrite(&message_);
  }
  void End(const absl::Status& status) {
    Finish(ToGrpcStatus(status, coordinator_->state_dir()));
  }

  Coordinator* const coordinator_;
  const v1::DownloadWeightsRequest request_;
  TaskPool* const pool_;
  WeightsFile weights_;
  v1::DownloadWeightsResponse message_;
  int64_t offset_ = 0;
  int64_t chunks_ = 0;
  uint32_t crc_ = 0;
  bool trailer_sent_ = false;
};

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
  return header;
}

// One message at a time: read, handled on the pool, then the next is read.
class UploadReactor : public grpc::ServerReadReactor<v1::UploadDeltaRequest> {
 public:
  UploadReactor(Coordinator* coordinator, v1::UploadDeltaResponse* response, TaskPool* pool)
      : coordinator_(coordinator), response_(response), pool_(pool) {}

  void Start() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (!ok) return End(absl::AbortedError("the upload ended without its trailer"));
    pool_->Add([this] {
      const absl::Status status = Handle();
      if (!status.ok() || finished_) return End(status);
      StartRead(&message_);
    });
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Handle() {
    switch (message_.message_case()) {
      case v1::UploadDeltaRequest::kHeader: {
        if (upload_ != nullptr) return absl::InvalidArgumentError("header: sent twice");
        DISTILLERY_ASSIGN_OR_RETURN(UploadHeader header, ReadHeader(message_.header()));
        DISTILLERY_ASSIGN_OR_RETURN(upload_, DeltaUpload::Begin(coordinator_, std::move(header)));
        return absl::OkStatus();
      }
      case v1::UploadDeltaRequest::kChunk:
        if (upload_ == nullptr) return absl::InvalidArgumentError("chunk: sent before the header");
        return upload_->Append(message_.chunk().offset(), message_.chunk().data());
      case v1::UploadDeltaRequest::kTrailer: {
        if (upload_ == nullptr) {
          return absl::InvalidArgumentError("trailer: sent before the header");
        }
        const v1::BytesTrailer& trailer = message_.trailer();
        DISTILLERY_ASSIGN_OR_RETURN(
            const bool duplicate,
            upload_->Finish(trailer.chunk_count(), trailer.byte_count(), trailer.crc32c()));
        response_->set_duplicate(duplicate);
        finished_ = true;
        return absl::OkStatus();
      }
      default: return absl::InvalidArgumentError("message: none is set");
    }
  }
  void End(const absl::Status& status) {
    upload_.reset();
    Finish(ToGrpcStatus(status, coordinator_->state_dir()));
  }

  Coordinator* const coordinator_;
  v1::UploadDeltaResponse* const response_;
  TaskPool* const pool_;
  v1::UploadDeltaRequest message_;
  std::unique_ptr<DeltaUpload> upload_;
  bool finished_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(Coordinator* coordinator,
                                                           const std::string& run_id) {
  auto* const reactor = new WatchReactor(coordinator, run_id);
  reactor->Start();
  return reactor;
}

grpc::ServerWriteReactor<v1::DownloadWeightsResponse>* StartDownload(
    Coordinator* coordinator, const v1::DownloadWeightsRequest& request, TaskPool* pool) {
  auto* const reactor = new DownloadReactor(coordinator, request, pool);
  pool->Add([reactor] { reactor->Start(); });
  return reactor;
}

grpc::ServerReadReactor<v1::UploadDeltaRequest>* StartUpload(Coordinator* coordinator,
                                                             v1::UploadDeltaResponse* response,
                                                             TaskPool* pool) {
  auto* const reactor = new UploadReactor(coordinator, response, pool);
  reactor->Start();
  return reactor;
}

}  // namespace distillery
