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

namespace distillery {
namespace {

// Header, chunks, trailer. The bytes go out from chunks that all downloads of these weights share;
// while a message is on its way the next one is made. The states are in the header.
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
    if (const absl::Status parsed = ParseMessage(&copy, &request_); !parsed.ok()) {
      Finish(ToGrpcStatus(parsed));
      return;
    }
    pool_->Add([this] {
      const absl::Status status =
          context_.call->IsCancelled() ? absl::CancelledError("the client went away") : Open();
      if (!status.ok()) return End(status);
      {
        MutexLock lock(mutex_);
        making_ = true;
        write_.Begin(context_.watch->clock()->SteadyNow());
      }
      StartWrite(&on_wire_);
      Make();
    });
  }
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(mutex_);
      write_.End();
      if (!ok) Stop(absl::CancelledError("the client went away"));
      if (making_) return;  // Make goes on
    }
    Next();
  }
  void OnDone() override {
    context_.watch->Remove(this);
    delete this;
  }
  void EndIfIdle(absl::Duration now, absl::Duration limit) override {
    {
      MutexLock lock(mutex_);
      // Also where it stops for another reason: that waits for the write as well.
      if (!write_.Longer(now, limit)) return;
      write_.Begin(now);
      Stop(absl::ResourceExhaustedError(
          NoteIdle("DownloadWeights: the client read nothing", limit, ClientOf(*context_.call))));
    }
    context_.call->TryCancel();  // the write on its way will not end by itself
  }

 private:
  enum class State { kSending, kClosing, kStopping };

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
    const bool last = offset_ == weights_.file->size();
    const absl::Status made = last ? MakeTrailer() : MakeChunk();
    {
      MutexLock lock(mutex_);
      making_ = false;
      if (!made.ok()) Stop(made);
      if (last && state_ == State::kSending) state_ = State::kClosing;
      if (write_.waiting()) return;  // OnWriteDone goes on
    }
    Next();
  }
  absl::Status MakeTrailer() {
    v1::DownloadWeightsResponse message;
    v1::BytesTrailer* const trailer = message.mutable_trailer();
    trailer->set_chunk_count(chunks_);
    trailer->set_byte_count(offset_ - request_.start_offset());
    trailer->set_crc32c(request_.start_offset() == 0 ? weights_.file->Checksum() : crc_);
    next_ = SerializeMessage(message);
    return absl::OkStatus();
  }
  absl::Status MakeChunk() {
    // Chunks end where those of a whole download do.
    const int64_t index = offset_ / BroadcastFile::kChunkBytes;
    const int64_t skipped = offset_ % BroadcastFile::kChunkBytes;
    const auto chunk = weights_.file->Chunk(index);
    if (!chunk.ok()) return coordinator_->weights().NoteUnreadable(weights_, chunk.status());
    const absl::string_view data =
        absl::string_view((*chunk)->bytes).substr(static_cast<size_t>(skipped));
    const uint32_t crc = skipped == 0 ? (*chunk)->crc32c : Crc32c(data);
    if (request_.start_offset() != 0) crc_ = Crc32c(data, crc_);
    next_ = ChunkMessage(offset_, data, crc, *chunk);
    offset_ += static_cast<int64_t>(data.size());
    ++chunks_;
    DISTILLERY_FAILPOINT("coordinator.download.chunk");
    return absl::OkStatus();
  }

  // Nothing is under way.
  void Next() {
    absl::Status outcome;
    bool more = false;
    {
      MutexLock lock(mutex_);
      outcome = outcome_;
      // Invalid: the trailer was sent.
      if (outcome.ok() && next_.Valid()) {
        write_.Begin(context_.watch->clock()->SteadyNow());
        more = making_ = state_ == State::kSending;
      }
    }
    if (!outcome.ok() || !next_.Valid()) return End(outcome);
    on_wire_.Swap(&next_);
    next_.Clear();
    // gRPC sends much of a message before StartWrite returns, and may end this then.
    TaskPool* const pool = pool_;
    if (more) pool->Add([this] { Make(); });
    StartWrite(&on_wire_);
  }
  void Stop(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (state_ == State::kStopping) return;
    state_ = State::kStopping;
    outcome_ = reason;
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
  // The message that gRPC writes.
  grpc::ByteBuffer on_wire_;

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kSending;
  // Waiting: a message is on its way.
  ClientWait write_ ABSL_GUARDED_BY(mutex_);
  bool making_ ABSL_GUARDED_BY(mutex_) = false;
  // Why it stops.
  absl::Status outcome_ ABSL_GUARDED_BY(mutex_);
};

static_assert(BroadcastFile::kChunkBytes == kChunkBytes);

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* StartDownload(const StreamContext& context,
                                                          const grpc::ByteBuffer& request,
                                                          TaskPool* pool) {
  auto* const reactor = new DownloadReactor(context, pool);
  reactor->Start(request);
  return reactor;
}

}  // namespace distillery
