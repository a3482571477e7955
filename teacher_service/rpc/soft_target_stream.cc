#include "teacher_service/rpc/soft_target_stream.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/caller.h"
#include "common/rpc/chunk_message.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "teacher_service/rpc/teacher_messages.h"

namespace distillery {
namespace {

grpc::ByteBuffer Serialize(const SoftTargetChunk& chunk) {
  std::vector<std::string> parts = ChunkWireParts(chunk);
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < parts.size(); ++i) {
    slices.emplace_back(parts[i]);
    if (i < chunk.tensors.size() && !chunk.tensors[i].bytes.empty()) {
      slices.push_back(OwnedSlice(chunk.tensors[i].bytes, chunk.owner));
    }
  }
  return {slices.data(), slices.size()};
}

}  // namespace

SoftTargetStream::SoftTargetStream(StreamResources* shared, grpc::CallbackServerContext* context)
    : shared_(shared),
      context_(context),
      clock_(shared->host->scheduler().clock()),
      opened_(clock_->SteadyNow()) {
  shared_->watch.Add(this);
}

void SoftTargetStream::Start(const grpc::ByteBuffer& request) {
  if (!request.Valid()) {
    return Refuse(absl::CancelledError("the client went away before its request came"));
  }
  grpc::ByteBuffer copy(request);
  if (const absl::Status parsed = ParseMessage(&copy, &request_); !parsed.ok()) {
    return Refuse(parsed);
  }
  shared_->pool.Add([this] { Prepare(); });
}

void SoftTargetStream::Refuse(const absl::Status& status) {
  MutexLock lock(mutex_);
  making_ = false;
  End(status);
}

void SoftTargetStream::OnWriteDone(bool ok) {
  Asks asks;
  {
    MutexLock lock(mutex_);
    write_.End();
    if (!ok) Stop(absl::CancelledError("the client went away"));
    asks = Pump();
  }
  Ask(this, asks);
}

void SoftTargetStream::OnCancel() {
  Asks asks;
  {
    MutexLock lock(mutex_);
    Stop(absl::CancelledError("the client went away"));
    asks = Pump();
  }
  Ask(this, asks);
}

void SoftTargetStream::OnDone() {
  shared_->watch.Remove(this);
  // Whoever called Finish may still hold the lock.
  { const MutexLock lock(mutex_); }
  Log();
  {
    MutexLock lock(shared_->mutex);
    --shared_->statistics.open_count;
  }
  delete this;
}

void SoftTargetStream::EndIfIdle(absl::Duration now, absl::Duration limit) {
  {
    MutexLock lock(mutex_);
    if (state_ == State::kEnded || !write_.Longer(now, limit)) return;
    Stop(absl::ResourceExhaustedError(absl::StrCat(
        "the client read nothing for ", absl::FormatDuration(limit), " (--stream-idle-seconds)")));
  }
  context_->TryCancel();  // the write on its way will not end by itself
}

void SoftTargetStream::Prepare() {
  const absl::StatusOr<StreamPlan> plan = Plan();
  if (!plan.ok()) return Report(plan.status());
  const v1::DatasetSelector& selector = request_.dataset();
  const DatasetReference reference{selector.name(), selector.split(), selector.shard_size()};
  DatasetCatalog& datasets = shared_->host->datasets();
  if (std::shared_ptr<const Dataset> open = datasets.Find(reference)) {
    return OnDataset(*plan, open);
  }
  datasets.OpenLater(reference, [this, plan = *plan](const DatasetCatalog::Opened& opened) {
    shared_->pool.Add([this, plan, opened] { OnDataset(plan, opened); });
  });
}

void SoftTargetStream::OnDataset(const StreamPlan& plan, const DatasetCatalog::Opened& opened) {
  Report(MakeHeader(plan, opened));
}

absl::StatusOr<StreamPlan> SoftTargetStream::Plan() {
  DISTILLERY_RETURN_IF_ERROR(StillWanted(*context_));
  DISTILLERY_ASSIGN_OR_RETURN(place_, shared_->limits.Enter(ClientOf(*context_)));
  return PlanStream(request_, shared_->host);
}

absl::StatusOr<grpc::ByteBuffer> SoftTargetStream::MakeHeader(
    const StreamPlan& plan, const DatasetCatalog::Opened& opened) {
  DISTILLERY_RETURN_IF_ERROR(StillWanted(*context_));
  DISTILLERY_RETURN_IF_ERROR(opened.status());
  DISTILLERY_ASSIGN_OR_RETURN(
      shard_, StreamedShard::Open(request_, plan, *opened, shared_->host, &shared_->buffers));
  grpc::ByteBuffer header = SerializeMessage(shard_->Header());
  MutexLock lock(mutex_);
  if (state_ == State::kOpening) state_ = State::kSending;
  row_ = request_.start_row();
  if (shard_->logits() != nullptr) cuts_.Begin(row_, shard_->row_count(), shard_->cut_rows());
  DISTILLERY_FAILPOINT("teacher.stream.opened");
  return header;
}

void SoftTargetStream::Report(const absl::StatusOr<grpc::ByteBuffer>& message) {
  Asks asks;
  {
    MutexLock lock(mutex_);
    making_ = false;
    if (message.ok()) {
      next_ = *message;
    } else {
      Stop(message.status());
    }
    asks = Pump();
  }
  Ask(this, asks);
}

void SoftTargetStream::OnRows(CutsAhead::Cut* cut, const absl::StatusOr<LogitRows>& rows) {
  Asks asks;
  {
    MutexLock lock(mutex_);
    cuts_.Answer(cut, rows);
    asks = Pump();
  }
  Ask(this, asks);
}

// Without the lock: rows that are there already come at once, and gRPC sends much of a message
// before StartWrite returns, while the next is encoded. A stream without anything under way may be
// gone by now, and what is started last may end it: so `stream` is only used for that.
void SoftTargetStream::Ask(SoftTargetStream* stream, const Asks& asks) {
  for (const std::shared_ptr<CutsAhead::Cut>& cut : asks.cuts) {
    asks.logits->Get(
        cut->first_row, asks.cancelled,
        [stream, cut](const absl::StatusOr<LogitRows>& rows) { stream->OnRows(cut.get(), rows); });
  }
  if (asks.write) stream->StartWrite(&stream->on_wire_);
  if (asks.make_next) stream->Report(stream->MakeNext());
}

SoftTargetStream::Asks SoftTargetStream::Pump() {
  Asks asks;
  if (state_ == State::kEnded) return asks;
  const bool nothing_under_way = !write_.waiting() && !making_ && cuts_.waiting() == 0;
  if (state_ == State::kStopping) {
    if (nothing_under_way) End(outcome_);
    return asks;
  }
  if (!write_.waiting() && next_.Valid()) {
    write_.Begin(clock_->SteadyNow());
    on_wire_ = next_;
    next_.Clear();
    asks.write = true;
  } else if (state_ == State::kClosing && nothing_under_way) {
    // Cuts that were asked for before a cache file gave all have reported too: they use this.
    End(absl::OkStatus());
    return asks;
  }
  if (state_ != State::kSending) return asks;
  const bool rows_are_there =
      row_ == shard_->row_count() || shard_->logits() == nullptr || cuts_.ready();
  if (rows_are_there && !making_ && !next_.Valid()) {
    making_ = true;
    asks.make_next = NextIsSmall();
    if (!asks.make_next) shared_->pool.Add([this] { Report(MakeNext()); });
  }
  asks.cuts = cuts_.AskFor(static_cast<size_t>(shared_->options.read_ahead_cuts));
  asks.logits = shard_->logits();
  asks.cancelled = cancelled_;
  return asks;
}

bool SoftTargetStream::NextIsSmall() const {
  constexpr int64_t kSmallBytes = 32768;
  if (row_ == shard_->row_count()) return true;  // the trailer
  if (shard_->logits() == nullptr || !cuts_.rows().ok()) return false;
  return cuts_.rows()->rows * shard_->row_bytes() <= kSmallBytes;
}

absl::StatusOr<grpc::ByteBuffer> SoftTargetStream::MakeNext() {
  DISTILLERY_RETURN_IF_ERROR(StillWanted(*context_));
  if (shared_->host->draining()) return absl::UnavailableError("the teacher is draining");
  const bool has_logits = shard_->logits() != nullptr;
  int64_t row = 0;
  absl::StatusOr<LogitRows> rows = absl::UnknownError("none");
  {
    MutexLock lock(mutex_);
    row = row_;
    if (row < shard_->row_count() && has_logits) rows = cuts_.rows();
  }
  if (row == shard_->row_count()) return MakeTrailer(row);
  const absl::Duration start = clock_->SteadyNow();
  DISTILLERY_ASSIGN_OR_RETURN(const std::optional<SoftTargetChunk> chunk, shard_->Make(row, rows));
  if (!chunk.has_value()) {
    MutexLock lock(mutex_);
    cuts_.AskAgain(row);
    return grpc::ByteBuffer();
  }
  Count(*chunk, start);
  grpc::ByteBuffer message = Serialize(*chunk);
  MutexLock lock(mutex_);
  row_ = row + chunk->rows;
  // Its cut, which may begin before the row, is used up.
  if (has_logits && row_ == rows->first_row + rows->rows) cuts_.Pop(row_);
  return message;
}

grpc::ByteBuffer SoftTargetStream::MakeTrailer(int64_t row) {
  v1::StreamSoftTargetsResponse message;
  message.mutable_trailer()->set_row_count(row - request_.start_row());
  message.mutable_trailer()->set_byte_count(bytes_);
  message.mutable_trailer()->set_crc32c(crc_);
  DISTILLERY_FAILPOINT("teacher.stream.trailer");
  MutexLock lock(mutex_);
  if (state_ == State::kSending) state_ = State::kClosing;
  return SerializeMessage(message);
}

// In the checksum and in the statistics.
void SoftTargetStream::Count(const SoftTargetChunk& chunk, absl::Duration start) {
  int64_t bytes = 0;
  for (const TensorView& tensor : chunk.tensors) {
    // What was read from a file was checked by its checksum, which is that of the bytes sent.
    if (!chunk.crc32c.has_value()) crc_ = Crc32c(tensor.bytes, crc_);
    bytes += static_cast<int64_t>(tensor.bytes.size());
  }
  if (chunk.crc32c.has_value()) crc_ = Crc32cJoin(bytes)(crc_, *chunk.crc32c);
  if (bytes_ > 0) DISTILLERY_FAILPOINT("teacher.stream.chunk");
  bytes_ += bytes;
  MutexLock lock(shared_->mutex);
  shared_->statistics.row_count += chunk.rows;
  shared_->statistics.byte_count += bytes;
  shared_->statistics.encode_time += clock_->SteadyNow() - start;
}

void SoftTargetStream::Stop(const absl::Status& reason) {
  if (state_ == State::kStopping || state_ == State::kEnded) return;
  state_ = State::kStopping;
  outcome_ = reason;
  cancelled_->store(true);
}

void SoftTargetStream::End(const absl::Status& status) {
  state_ = State::kEnded;
  outcome_ = status;
  cuts_.Clear();
  place_.reset();  // a client that sees the end may open its next stream
  Finish(ToGrpcStatus(status, shared_->host->options().data_dir));
}

// One line per stream.
void SoftTargetStream::Log() {
  {
    MutexLock lock(shared_->mutex);
    ++(outcome_.ok() ? shared_->statistics.finished_count : shared_->statistics.failed_count);
  }
  const v1::DatasetSelector& data = request_.dataset();
  const absl::StatusOr<Encoding> encoding = ReadEncoding(request_.encoding());
  LogInfo(
      "stream model={} client={} data={}/{}@{} shard={} view={} temperature={} encoding={} "
      "rows={}-{} "
      "bytes={} seconds={:.3f} status={}",
      Printable(request_.model_name()), ClientOf(*context_), Printable(data.name()),
      Printable(data.split()), data.shard_size(), request_.shard(), request_.augmentation().view(),
      request_.temperature(),
      encoding.ok() ? EncodingName(*encoding) : absl::StrCat(static_cast<int>(request_.encoding())),
      request_.start_row(), row_, bytes_, absl::ToDoubleSeconds(clock_->SteadyNow() - opened_),
      outcome_.ok() ? "OK" : outcome_.ToString());
}

}  // namespace distillery
