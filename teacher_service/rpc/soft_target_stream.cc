#include "teacher_service/rpc/soft_target_stream.h"

#include <atomic>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/caller.h"
#include "common/rpc/chunk_message.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "teacher_service/rpc/teacher_messages.h"
#include "teacher_service/soft_target_chunk.h"

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

// One stream: header, chunks, trailer. While a message is on its way the next one is encoded, and
// the cuts after it are computed.
//
// Threads: Pump decides, under `mutex_`, what to start; the pool, the scheduler and gRPC call back.
// Nobody else touches what a started step uses until it reports.
class SoftTargetStream : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  SoftTargetStream(StreamService* service, grpc::CallbackServerContext* context)
      : service_(service),
        context_(context),
        clock_(service->host_->scheduler().clock()),
        opened_(clock_->SteadyNow()) {}

  // `request` is gone when this returns.
  void Start(const grpc::ByteBuffer& request) {
    if (!request.Valid()) {
      MutexLock lock(mutex_);
      working_ = false;
      End(absl::CancelledError("the client went away before its request came"));
      return;
    }
    grpc::ByteBuffer copy(request);
    const grpc::Status parsed =
        grpc::SerializationTraits<v1::StreamSoftTargetsRequest>::Deserialize(&copy, &request_);
    if (!parsed.ok()) {
      MutexLock lock(mutex_);
      working_ = false;
      End(absl::InternalError("the request's bytes are no message of this method"));
      return;
    }
    service_->pool_.Add([this] { Prepare(); });
  }

  void OnWriteDone(bool ok) override {
    Asks asks;
    {
      MutexLock lock(mutex_);
      writing_ = false;
      if (!ok) Stop(absl::CancelledError("the client went away"));
      asks = Pump();
    }
    Ask(this, asks);
  }
  void OnCancel() override {
    Asks asks;
    {
      MutexLock lock(mutex_);
      Stop(absl::CancelledError("the client went away"));
      asks = Pump();
    }
    Ask(this, asks);
  }
  void OnDone() override {
    // Whoever called Finish may still hold the lock.
    { const MutexLock lock(mutex_); }
    Log();
    {
      MutexLock lock(service_->mutex_);
      service_->streams_.erase(this);
      --service_->statistics_.open_count;
    }
    delete this;
  }
  void EndIfIdle(absl::Duration now, absl::Duration limit) {
    MutexLock lock(mutex_);
    if (!writing_ || finished_ || now - write_start_ < limit) return;
    Stop(absl::ResourceExhaustedError(absl::StrCat(
        "the client read nothing for ", absl::FormatDuration(limit), " (--stream-idle-seconds)")));
    context_->TryCancel();  // the write on its way will not end by itself
  }

 private:
  using Message = v1::StreamSoftTargetsResponse;
  // A part of the shard's logits that was asked for.
  struct Fetch {
    int64_t row = 0;
    bool ready = false;
    absl::StatusOr<LogitRows> rows = absl::UnknownError("asked for");
  };

  // What is to be started once the lock is released.
  struct Asks {
    std::shared_ptr<ShardLogits> shard;
    std::shared_ptr<const std::atomic<bool>> cancelled;
    std::vector<std::shared_ptr<Fetch>> fetches;
    // on_wire_.
    bool write = false;
    // MakeNext, by this thread: for a message so small that waking another costs more.
    bool make_next = false;
  };

  // What a stream needs before its data set is open.
  struct Preparation {
    std::shared_ptr<Teacher> teacher;
    ChunkMaker::Options chunks;
  };

  // Opens everything and makes the header. The pool's threads wait for no data set that is being
  // read: other streams need them.
  void Prepare() {
    absl::StatusOr<Preparation> preparation = Check();
    if (!preparation.ok()) return Report(preparation.status(), {});
    const v1::DatasetSelector& selector = request_.dataset();
    const DatasetReference reference{selector.name(), selector.split(), selector.shard_size()};
    DatasetCatalog& datasets = service_->host_->datasets();
    if (std::shared_ptr<const Dataset> open = datasets.Find(reference)) {
      return OnDataset(*preparation, open);
    }
    datasets.OpenLater(reference, [this, preparation = *std::move(preparation)](
                                      const DatasetCatalog::Opened& opened) {
      service_->pool_.Add([this, preparation, opened] { OnDataset(preparation, opened); });
    });
  }

  void OnDataset(const Preparation& preparation, const DatasetCatalog::Opened& opened) {
    grpc::ByteBuffer header;
    const absl::Status status = MakeHeader(preparation, opened, &header);
    Report(status, header);
  }

  absl::StatusOr<Preparation> Check() {
    TeacherHost* const host = service_->host_;
    Preparation preparation;
    DISTILLERY_RETURN_IF_ERROR(StillWanted(*context_));
    DISTILLERY_ASSIGN_OR_RETURN(place_, service_->limits_.Enter(ClientOf(*context_)));
    DISTILLERY_ASSIGN_OR_RETURN(preparation.teacher, host->ReadyTeacher(request_.model_name()));
    const TeacherInfo& info = preparation.teacher->info();
    ChunkMaker::Options& chunks = preparation.chunks;
    DISTILLERY_ASSIGN_OR_RETURN(
        chunks.format, ReadFormat(request_.temperature(), request_.representation(),
                                  request_.encoding(), request_.top_k(), info.card.class_count()));
    DISTILLERY_ASSIGN_OR_RETURN(chunks.view, ReadView(request_.augmentation()));
    chunks.include_samples = request_.include_samples();
    chunks.max_bytes = kChunkBytes;
    samples_alone_ = chunks.format.representation == Representation::kNone;
    DISTILLERY_RETURN_IF_ERROR(
        CheckExpected("teacher", request_.expected_teacher_digest(), info.digest));
    return preparation;
  }

  absl::Status MakeHeader(const Preparation& preparation, const DatasetCatalog::Opened& opened,
                          grpc::ByteBuffer* header) {
    DISTILLERY_RETURN_IF_ERROR(StillWanted(*context_));
    DISTILLERY_ASSIGN_OR_RETURN(dataset_, opened);
    const ChunkMaker::Options& chunks = preparation.chunks;
    const TeacherInfo& info = preparation.teacher->info();
    DISTILLERY_RETURN_IF_ERROR(
        CheckExpected("dataset", request_.expected_dataset_digest(), dataset_->digest()));
    const int64_t row_bytes =
        (samples_alone_ ? 0 : chunks.format.SizesOf(1, dataset_->class_count()).total()) +
        (chunks.include_samples ? dataset_->shape().size() + 4 : 0);
    if (row_bytes > kMaxMessageBytes - 4096) {
      return absl::ResourceExhaustedError(
          absl::StrCat("one row takes ", row_bytes, " bytes, a message at most ", kMaxMessageBytes,
                       ": ask for another encoding"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset_->Shard(request_.shard()));
    row_count_ = range.count;
    if (request_.start_row() < 0 || request_.start_row() > row_count_) {
      return absl::InvalidArgumentError(
          absl::StrCat("start_row must be 0 to ", row_count_, ", got ", request_.start_row()));
    }
    if (!samples_alone_) {
      DISTILLERY_ASSIGN_OR_RETURN(
          shard_, service_->host_->logits().Open(preparation.teacher, dataset_, request_.shard(),
                                                 chunks.view, request_.discard_stored()));
    }
    chunks_.emplace(chunks, dataset_.get(), range, &service_->buffers_);
    Message message;
    message.mutable_header()->set_teacher_digest(info.digest);
    message.mutable_header()->set_dataset_digest(dataset_->digest());
    message.mutable_header()->set_row_count(row_count_);
    message.mutable_header()->set_class_count(static_cast<int32_t>(dataset_->class_count()));
    *header = SerializeMessage(message);
    MutexLock lock(mutex_);
    row_ = next_fetch_ = request_.start_row();
    cut_rows_ = info.batch_rows;
    row_bytes_ = row_bytes;
    opened_ok_ = true;
    DISTILLERY_FAILPOINT("teacher.stream.opened");
    return absl::OkStatus();
  }

  // The next message is made, or failed; or there is none, since its rows are to be asked for
  // again.
  void Report(const absl::Status& status, const grpc::ByteBuffer& message) {
    Asks asks;
    {
      MutexLock lock(mutex_);
      working_ = false;
      if (status.ok()) {
        next_ = message;
        has_next_ = next_.Valid();
      } else {
        Stop(status);
      }
      asks = Pump();
    }
    Ask(this, asks);
  }

  void OnRows(const std::shared_ptr<Fetch>& fetch, const absl::StatusOr<LogitRows>& rows) {
    Asks asks;
    {
      MutexLock lock(mutex_);
      fetch->rows = rows;
      fetch->ready = true;
      --fetching_;
      asks = Pump();
    }
    Ask(this, asks);
  }

  // Without the lock: rows that are there already come at once, and gRPC sends much of a message
  // before StartWrite returns, while the next is encoded. A stream without anything under way may
  // be gone by now, and what is started last may end it: so `stream` is only used for that.
  static void Ask(SoftTargetStream* stream, const Asks& asks) {
    for (const std::shared_ptr<Fetch>& fetch : asks.fetches) {
      asks.shard->Get(
          fetch->row, asks.cancelled,
          [stream, fetch](const absl::StatusOr<LogitRows>& rows) { stream->OnRows(fetch, rows); });
    }
    if (asks.write) stream->StartWrite(&stream->on_wire_);
    if (asks.make_next) stream->MakeAndReport();
  }

  void MakeAndReport() {
    grpc::ByteBuffer message;
    const absl::Status status = MakeNext(&message);
    Report(status, message);
  }

  // Starts all that can be started. The caller releases the lock, then does what it is told to ask,
  // and touches this stream no more.
  [[nodiscard]] Asks Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Asks asks;
    if (finished_) return asks;
    if (stopping_) {
      if (!writing_ && !working_ && fetching_ == 0) End(stop_reason_);
      return asks;
    }
    if (!writing_ && has_next_) {
      has_next_ = false;
      writing_ = true;
      write_start_ = clock_->SteadyNow();
      on_wire_ = next_;
      next_.Clear();
      asks.write = true;
    } else if (!writing_ && trailer_made_ && !working_ && fetching_ == 0) {
      // Cuts that were asked for before a cache file gave all have reported too: they use this.
      End(absl::OkStatus());
      return asks;
    }
    if (!opened_ok_) return asks;
    const bool ready =
        row_ == row_count_ || samples_alone_ || (!fetches_.empty() && fetches_.front()->ready);
    if (ready && !working_ && !has_next_ && !trailer_made_) {
      working_ = true;
      asks.make_next = NextIsSmall();
      if (!asks.make_next) service_->pool_.Add([this] { MakeAndReport(); });
    }
    while (!samples_alone_ && next_fetch_ < row_count_ &&
           fetches_.size() < static_cast<size_t>(service_->options_.read_ahead_cuts)) {
      fetches_.push_back(std::make_shared<Fetch>());
      fetches_.back()->row = next_fetch_;
      next_fetch_ = (next_fetch_ / cut_rows_ + 1) * cut_rows_;
      ++fetching_;
      asks.shard = shard_;
      asks.cancelled = cancelled_;
      asks.fetches.push_back(fetches_.back());
    }
    return asks;
  }

  bool NextIsSmall() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    constexpr int64_t kSmallBytes = 32768;
    if (row_ == row_count_) return true;  // the trailer
    if (samples_alone_ || !fetches_.front()->rows.ok()) return false;
    return fetches_.front()->rows->rows * row_bytes_ <= kSmallBytes;
  }

  // The next chunk, or the trailer; none if rows of the cache's file are damaged: they are asked
  // for again, and come from the teacher.
  absl::Status MakeNext(grpc::ByteBuffer* message) {
    DISTILLERY_RETURN_IF_ERROR(StillWanted(*context_));
    if (service_->host_->draining()) return absl::UnavailableError("the teacher is draining");
    int64_t row = 0;
    absl::StatusOr<LogitRows> rows = absl::UnknownError("none");
    {
      MutexLock lock(mutex_);
      row = row_;
      if (row < row_count_ && !samples_alone_) rows = fetches_.front()->rows;
    }
    if (row == row_count_) {
      Message trailer;
      trailer.mutable_trailer()->set_row_count(row - request_.start_row());
      trailer.mutable_trailer()->set_byte_count(bytes_);
      trailer.mutable_trailer()->set_crc32c(crc_);
      *message = SerializeMessage(trailer);
      DISTILLERY_FAILPOINT("teacher.stream.trailer");
      MutexLock lock(mutex_);
      trailer_made_ = true;
      return absl::OkStatus();
    }
    const absl::Duration start = clock_->SteadyNow();
    SoftTargetChunk chunk;
    if (samples_alone_) {
      DISTILLERY_ASSIGN_OR_RETURN(chunk, chunks_->MakeSamples(row, row_count_ - row));
    } else {
      DISTILLERY_RETURN_IF_ERROR(rows.status());
      // The cut may begin before the row that is due.
      const int64_t skipped = row - rows->first_row;
      if (rows->data != nullptr) {
        rows->data += skipped * dataset_->class_count() * (rows->half ? 2 : 4);
      }
      rows->first_row = row;
      rows->rows -= skipped;
      if (rows->file == nullptr) {
        DISTILLERY_ASSIGN_OR_RETURN(chunk, chunks_->Make(*rows));
      } else {
        const absl::StatusOr<LogitRows> loaded = chunks_->Load(*rows);
        if (!loaded.ok()) {
          shard_->Drop(*rows->file, loaded.status());
          AskAgain(row);
          return absl::OkStatus();
        }
        DISTILLERY_ASSIGN_OR_RETURN(chunk, chunks_->Make(*loaded));
      }
    }
    int64_t bytes = 0;
    for (const TensorView& tensor : chunk.tensors) {
      // What was read from a file was checked by its checksum, which is that of the bytes sent.
      if (!chunk.crc32c.has_value()) crc_ = Crc32c(tensor.bytes, crc_);
      bytes += static_cast<int64_t>(tensor.bytes.size());
    }
    if (chunk.crc32c.has_value()) crc_ = Crc32cJoin(bytes)(crc_, *chunk.crc32c);
    if (bytes_ > 0) DISTILLERY_FAILPOINT("teacher.stream.chunk");
    bytes_ += bytes;
    *message = Serialize(chunk);
    {
      MutexLock lock(service_->mutex_);
      service_->statistics_.row_count += chunk.rows;
      service_->statistics_.byte_count += bytes;
      service_->statistics_.encode_time += clock_->SteadyNow() - start;
    }
    MutexLock lock(mutex_);
    row_ = row + chunk.rows;
    if (!samples_alone_ && chunk.rows == rows->rows) {
      fetches_.pop_front();
      // A cache file gives all to the end: the cuts asked for ahead are in it.
      next_fetch_ = std::max(next_fetch_, row_);
    }
    return absl::OkStatus();
  }

  // Forgets what was asked for: the next Pump asks for the rows from `row` on.
  void AskAgain(int64_t row) {
    MutexLock lock(mutex_);
    fetches_.clear();
    next_fetch_ = row;
  }

  void Stop(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (stopping_) return;
    stopping_ = true;
    stop_reason_ = reason;
    cancelled_->store(true);
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    finished_ = true;
    final_status_ = status;
    fetches_.clear();
    place_.reset();  // a client that sees the end may open its next stream
    Finish(ToGrpcStatus(status, service_->host_->options().data_dir));
  }

  // One line per stream. When all is over: nobody else is here.
  void Log() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    {
      MutexLock lock(service_->mutex_);
      ++(final_status_.ok() ? service_->statistics_.finished_count
                            : service_->statistics_.failed_count);
    }
    const v1::DatasetSelector& data = request_.dataset();
    const absl::StatusOr<Encoding> encoding = ReadEncoding(request_.encoding());
    LogInfo(
        "stream model={} client={} data={}/{}@{} shard={} view={} temperature={} encoding={} "
        "rows={}-{} "
        "bytes={} seconds={:.3f} status={}",
        Printable(request_.model_name()), ClientOf(*context_), Printable(data.name()),
        Printable(data.split()), data.shard_size(), request_.shard(),
        request_.augmentation().view(), request_.temperature(),
        encoding.ok() ? EncodingName(*encoding)
                      : absl::StrCat(static_cast<int>(request_.encoding())),
        request_.start_row(), row_, bytes_, absl::ToDoubleSeconds(clock_->SteadyNow() - opened_),
        final_status_.ok() ? "OK" : final_status_.ToString());
  }

  StreamService* const service_;
  // Lives until OnDone.
  grpc::CallbackServerContext* const context_;
  Clock* const clock_;
  const absl::Duration opened_;
  v1::StreamSoftTargetsRequest request_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  // Set by Prepare, then constant; the place until the end.
  ClientLimits::Place place_;
  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<ShardLogits> shard_;
  std::optional<ChunkMaker> chunks_;
  int64_t row_count_ = 0;
  bool samples_alone_ = false;
  // Used by whoever makes the next message, and by Log at the end.
  int64_t bytes_ = 0;
  uint32_t crc_ = 0;
  // The message that gRPC writes.
  grpc::ByteBuffer on_wire_;

  Mutex mutex_;
  bool opened_ok_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t cut_rows_ ABSL_GUARDED_BY(mutex_) = 1;
  // The bytes of one row on the wire.
  int64_t row_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Next row to encode, and the first that no fetch was started for.
  int64_t row_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_fetch_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::shared_ptr<Fetch>> fetches_ ABSL_GUARDED_BY(mutex_);
  int fetching_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ByteBuffer next_ ABSL_GUARDED_BY(mutex_);
  bool has_next_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration write_start_ ABSL_GUARDED_BY(mutex_);
  // A thread makes the next message, or will: from the start, since Prepare is queued first.
  bool working_ ABSL_GUARDED_BY(mutex_) = true;
  bool trailer_made_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status stop_reason_ ABSL_GUARDED_BY(mutex_);
  absl::Status final_status_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

StreamService::StreamService(const Options& options, TeacherHost* host)
    : options_(options),
      host_(host),
      limits_("streams", "--max-streams-per-client", options.max_streams_per_client),
      buffers_(kChunkBytes + 4096, /*max_free=*/64),
      pool_(options.threads),
      watcher_([this] { Watch(); }) {}

StreamService::~StreamService() {
  {
    MutexLock lock(mutex_);
    closing_ = true;
    changed_.NotifyAll();
  }
  watcher_.join();
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamService::Open(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  auto* const stream = new SoftTargetStream(this, context);
  {
    MutexLock lock(mutex_);
    streams_.insert(stream);
    ++statistics_.open_count;
  }
  stream->Start(*request);
  return stream;
}

void StreamService::EndIdle(absl::Duration now) {
  MutexLock lock(mutex_);
  for (SoftTargetStream* const stream : streams_) stream->EndIfIdle(now, options_.idle_limit);
}

void StreamService::Watch() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!closing_) changed_.WaitFor(mutex_, absl::Seconds(1));
      if (closing_) return;
    }
    EndIdle(host_->scheduler().clock()->SteadyNow());
  }
}

StreamStatistics StreamService::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace distillery
