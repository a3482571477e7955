#include "coordinator/rpc/weights_stream.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/rpc/caller.h"
#include "common/rpc/chunk_message.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "coordinator/rpc/run_messages.h"

namespace distillery {
namespace {

// Sends the run each time it changes, one message in flight; changes meanwhile are merged into one.
class WatchReactor : public grpc::ServerWriteReactor<v1::WatchRunResponse>, public WatchedStream {
 public:
  WatchReactor(const StreamContext& context, std::string run_id)
      : context_(context),
        coordinator_(context.coordinator),
        run_id_(std::move(run_id)),
        listener_(std::make_shared<Listener>(this)) {
    context_.watch->Add(this);
  }

  void Start() {
    absl::StatusOr<ClientLimits::Place> place = context_.limits->Enter(ClientOf(*context_.call));
    const absl::Status status =
        place.ok() ? coordinator_->runs().Watch(run_id_, listener_) : place.status();
    if (!status.ok()) return listener_->Refuse(status);
    place_ = *std::move(place);
    listener_->OnRunChanged();
  }
  void OnWriteDone(bool ok) override { listener_->Written(ok); }
  void OnCancel() override { listener_->Cancelled(); }
  void OnDone() override {
    context_.watch->Remove(this);
    listener_->Detach();
    delete this;
  }
  void EndIfIdle(absl::Duration now, absl::Duration limit) override {
    if (!listener_->EndIfIdle(now, limit)) return;
    NoteIdle("WatchRun: the client read nothing", limit, ClientOf(*context_.call));
    context_.call->TryCancel();  // the write on its way will not end by itself
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
    // Here, where nobody finishes twice: gRPC ends the process then, and the call may be cancelled
    // before its refusal is on the wire.
    void Refuse(const absl::Status& status) {
      MutexLock lock(mutex_);
      if (reactor_ == nullptr || finished_) return;
      finished_ = true;
      reactor_->Finish(ToGrpcStatus(status));
    }
    void Written(bool ok) {
      MutexLock lock(mutex_);
      writing_ = false;
      wait_.End();
      broken_ = broken_ || !ok;
      Next();
    }
    // True: it has waited for so long, and must be cancelled.
    bool EndIfIdle(absl::Duration now, absl::Duration limit) {
      MutexLock lock(mutex_);
      if (broken_ || finished_ || !wait_.Longer(now, limit)) return false;
      broken_ = true;
      return true;
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
      const absl::StatusOr<RunView> view = reactor_->coordinator_->runs().Get(reactor_->run_id_);
      const bool closing = reactor_->coordinator_->closing();
      if (!view.ok() || (closing && !Ended(view->row.state))) {
        finished_ = true;
        reactor_->Finish(ToGrpcStatus(
            view.ok() ? absl::UnavailableError("the coordinator is stopping") : view.status()));
        return;
      }
      last_ = Ended(view->row.state);
      writing_ = true;
      wait_.Begin(reactor_->context_.watch->clock()->SteadyNow());
      reactor_->message_.Clear();
      FillRun(*view, reactor_->message_.mutable_run());
      reactor_->StartWrite(&reactor_->message_);
    }

    Mutex mutex_;
    WatchReactor* reactor_ ABSL_GUARDED_BY(mutex_);
    bool changed_ ABSL_GUARDED_BY(mutex_) = false;
    bool writing_ ABSL_GUARDED_BY(mutex_) = false;
    ClientWait wait_ ABSL_GUARDED_BY(mutex_);
    bool last_ ABSL_GUARDED_BY(mutex_) = false;
    bool broken_ ABSL_GUARDED_BY(mutex_) = false;
    bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  };

  const StreamContext context_;
  Coordinator* const coordinator_;
  const std::string run_id_;
  ClientLimits::Place place_;
  const std::shared_ptr<Listener> listener_;
  v1::WatchRunResponse message_;
};

// Header, chunks, trailer. The bytes go out from chunks that all downloads of these weights share;
// while a message is on its way the next one is made.
class DownloadReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public WatchedStream {
 public:
  DownloadReactor(const StreamContext& context, TaskPool* pool)
      : context_(context), coordinator_(context.coordinator), pool_(pool) {
    context_.watch->Add(this);
  }

  void Start(const grpc::ByteBuffer& request) {
    absl::StatusOr<ClientLimits::Place> place = context_.limits->Enter(ClientOf(*context_.call));
    if (!place.ok()) {
      Finish(ToGrpcStatus(place.status()));
      return;
    }
    place_ = *std::move(place);
    grpc::ByteBuffer copy(request);
    if (!grpc::SerializationTraits<v1::DownloadWeightsRequest>::Deserialize(&copy, &request_)
             .ok()) {
      Finish(
          ToGrpcStatus(absl::InternalError("the request's bytes are no message of this method")));
      return;
    }
    pool_->Add([this] {
      const absl::Status status =
          context_.call->IsCancelled() ? absl::CancelledError("the client went away") : Open();
      if (!status.ok()) return End(status);
      {
        MutexLock lock(mutex_);
        wait_.Begin(context_.watch->clock()->SteadyNow());
      }
      StartWrite(&on_wire_);
      Make();
    });
  }
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      writing_ = false;
      wait_.End();
      broken_ = broken_ || !ok;
      if (making_) return;  // Make goes on
    }
    Next();
  }
  void OnDone() override {
    context_.watch->Remove(this);
    delete this;
  }
  void EndIfIdle(absl::Duration now, absl::Duration limit) override {
    MutexLock lock(mutex_);
    if (!idle_.empty() || !wait_.Longer(now, limit)) return;
    idle_ = NoteIdle("DownloadWeights: the client read nothing", limit, ClientOf(*context_.call));
    context_.call->TryCancel();  // the write on its way will not end by itself
  }

 private:
  absl::StatusOr<WeightsFile> Find() {
    const std::string& encoding = request_.encoding();
    const bool encoded = encoding == "float16";
    if (!encoded && !encoding.empty() && encoding != "float32") {
      return absl::InvalidArgumentError(
          absl::StrCat("encoding must be float32 or float16, got \"", encoding, "\""));
    }
    if (!request_.uploaded_sha256().empty()) {
      if (encoded) return absl::InvalidArgumentError("encoding: uploaded weights are float32");
      return coordinator_->weights().OpenUploaded(request_.uploaded_sha256());
    }
    return encoded ? coordinator_->weights().OpenFloat16(request_.run_id(), request_.round())
                   : coordinator_->weights().Open(request_.run_id(), request_.round());
  }

  // Makes the header.
  absl::Status Open() {
    absl::StatusOr<WeightsFile> weights = Find();
    if (!weights.ok()) return weights.status();
    weights_ = *std::move(weights);
    const int64_t size = weights_.file->size();
    offset_ = request_.start_offset();
    if (offset_ < 0 || offset_ > size) {
      return absl::InvalidArgumentError(
          absl::StrCat("start_offset must be 0 to ", size, ", got ", offset_));
    }
    v1::DownloadWeightsResponse message;
    v1::WeightsHeader* const header = message.mutable_header();
    header->set_byte_count(size);
    header->set_sha256(weights_.sha256);
    header->set_round(static_cast<int32_t>(weights_.round));
    for (const std::string& name : weights_.buffer_names) header->add_buffer_names(name);
    header->set_model_card(weights_.model_card);
    header->set_weights_sha256(weights_.weights_sha256);
    on_wire_ = SerializeMessage(message);
    return absl::OkStatus();
  }

  // The next chunk, or the trailer.
  void Make() {
    if (offset_ == weights_.file->size()) {
      v1::DownloadWeightsResponse message;
      v1::BytesTrailer* const trailer = message.mutable_trailer();
      trailer->set_chunk_count(chunks_);
      trailer->set_byte_count(offset_ - request_.start_offset());
      trailer->set_crc32c(request_.start_offset() == 0 ? weights_.file->Checksum() : crc_);
      next_ = SerializeMessage(message);
      trailer_made_ = true;
    } else {
      // Chunks end where those of a whole download do.
      const int64_t index = offset_ / BroadcastFile::kChunkBytes;
      const int64_t skipped = offset_ % BroadcastFile::kChunkBytes;
      const auto chunk = weights_.file->Chunk(index);
      if (chunk.ok()) {
        const absl::string_view data =
            absl::string_view((*chunk)->bytes).substr(static_cast<size_t>(skipped));
        const uint32_t crc = skipped == 0 ? (*chunk)->crc32c : Crc32c(data);
        if (request_.start_offset() != 0) crc_ = Crc32c(data, crc_);
        next_ = ChunkMessage(offset_, data, crc, *chunk);
        offset_ += static_cast<int64_t>(data.size());
        ++chunks_;
        DISTILLERY_FAILPOINT("coordinator.download.chunk");
      } else {
        unreadable_ = coordinator_->weights().NoteUnreadable(weights_, chunk.status());
      }
    }
    {
      MutexLock lock(mutex_);
      making_ = false;
      if (writing_) return;  // OnWriteDone goes on
    }
    Next();
  }

  // Nothing is under way.
  void Next() {
    bool broken = false;
    std::string idle;
    {
      MutexLock lock(mutex_);
      broken = broken_;
      idle = idle_;
      writing_ = true;
      wait_.Begin(context_.watch->clock()->SteadyNow());
      making_ = !trailer_made_;
    }
    if (!idle.empty()) return End(absl::ResourceExhaustedError(idle));
    if (broken) return End(absl::CancelledError("the client went away"));
    if (!unreadable_.ok()) return End(unreadable_);
    if (!next_.Valid()) return End(absl::OkStatus());
    on_wire_.Swap(&next_);
    next_.Clear();
    // gRPC sends much of a message before StartWrite returns, and may end this then.
    const bool more = !trailer_made_;
    TaskPool* const pool = pool_;
    if (more) pool->Add([this] { Make(); });
    StartWrite(&on_wire_);
  }
  void End(const absl::Status& status) {
    if (chunks_ > 0) {
      coordinator_->statistics().Add(Count::kDownloadedBytes, offset_ - request_.start_offset());
    }
    Finish(ToGrpcStatus(status, coordinator_->state_dir()));
  }

  const StreamContext context_;
  Coordinator* const coordinator_;
  TaskPool* const pool_;
  ClientLimits::Place place_;
  v1::DownloadWeightsRequest request_;
  WeightsFile weights_;
  // For whoever makes the next message, or writes when nobody does.
  grpc::ByteBuffer next_;
  int64_t offset_ = 0;
  int64_t chunks_ = 0;
  uint32_t crc_ = 0;
  bool trailer_made_ = false;
  // Why the next chunk could not be made.
  absl::Status unreadable_;
  // The message that gRPC writes.
  grpc::ByteBuffer on_wire_;

  Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;
  bool making_ ABSL_GUARDED_BY(mutex_) = true;
  ClientWait wait_ ABSL_GUARDED_BY(mutex_);
  // Not empty: why it was ended.
  std::string idle_ ABSL_GUARDED_BY(mutex_);
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

static_assert(BroadcastFile::kChunkBytes == kChunkBytes);

}  // namespace

grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(const StreamContext& context,
                                                           const std::string& run_id) {
  auto* const reactor = new WatchReactor(context, run_id);
  reactor->Start();
  return reactor;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartDownload(const StreamContext& context,
                                                          const grpc::ByteBuffer& request,
                                                          TaskPool* pool) {
  auto* const reactor = new DownloadReactor(context, pool);
  reactor->Start(request);
  return reactor;
}

}  // namespace distillery
