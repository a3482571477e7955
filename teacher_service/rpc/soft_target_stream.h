// One StreamSoftTargets call: header, chunks, trailer. While a message is on its way the next one
// is made, and the cuts after it are computed.
//
//   opening --the header is made--> sending --the trailer is made--> closing
//      |                               |                                |
//      |  refused, failed, idle, or the client went away                | all is sent
//      +---------------------------> stopping <-------------------------+ (or not)
//                                      |                                |
//                                      +--nothing is under way--> ended <
//
// Three things may be under way at once in each of them but the last: a message on its way to the
// client, one being made, and cuts being computed. Only when all three are over does the call end.
//
// Threads: Pump decides, under `mutex_`, what to start; the pool, the scheduler and gRPC call back.
// Nobody else touches what a started step uses until it reports.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <vector>

#include "common/rpc/stream_watch.h"
#include "distillery/v1/teacher_service.pb.h"
#include "teacher_service/cuts_ahead.h"
#include "teacher_service/rpc/stream_plan.h"
#include "teacher_service/rpc/stream_resources.h"

namespace distillery {

// Deletes itself when the call is over.
class SoftTargetStream : public grpc::ServerWriteReactor<grpc::ByteBuffer>, public WatchedStream {
 public:
  SoftTargetStream(StreamResources* shared, grpc::CallbackServerContext* context);

  // `request` is gone when this returns.
  void Start(const grpc::ByteBuffer& request);
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  void EndIfIdle(absl::Duration now, absl::Duration limit) override;

 private:
  enum class State { kOpening, kSending, kClosing, kStopping, kEnded };
  // What is to be started once the lock is released.
  struct Asks {
    std::shared_ptr<ShardLogits> logits;
    std::shared_ptr<const std::atomic<bool>> cancelled;
    std::vector<std::shared_ptr<CutsAhead::Cut>> cuts;
    // on_wire_.
    bool write = false;
    // MakeNext, by this thread: for a message so small that waking another costs more.
    bool make_next = false;
  };

  void Refuse(const absl::Status& status);
  // Opens everything and makes the header. The pool's threads wait for no data set that is being
  // read: other streams need them.
  void Prepare();
  void OnDataset(const StreamPlan& plan, const DatasetCatalog::Opened& opened);
  absl::StatusOr<StreamPlan> Plan();
  absl::StatusOr<grpc::ByteBuffer> MakeHeader(const StreamPlan& plan,
                                              const DatasetCatalog::Opened& opened);
  // The next message is made, or failed. An empty one is none: its rows are to be asked for again.
  void Report(const absl::StatusOr<grpc::ByteBuffer>& message);
  void OnRows(CutsAhead::Cut* cut, const absl::StatusOr<LogitRows>& rows);
  static void Ask(SoftTargetStream* stream, const Asks& asks);
  // Starts all that can be started. The caller releases the lock, then does what it is told to ask,
  // and touches this stream no more.
  [[nodiscard]] Asks Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool NextIsSmall() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next chunk, or the trailer, or none: see Report.
  absl::StatusOr<grpc::ByteBuffer> MakeNext();
  grpc::ByteBuffer MakeTrailer(int64_t row);
  void Count(const SoftTargetChunk& chunk, absl::Duration start);
  void Stop(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When all is over: nobody else is here.
  void Log() ABSL_NO_THREAD_SAFETY_ANALYSIS;

  StreamResources* const shared_;
  // Lives until OnDone.
  grpc::CallbackServerContext* const context_;
  Clock* const clock_;
  const absl::Duration opened_;
  v1::StreamSoftTargetsRequest request_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  // Set while it opens, then constant; the place until the end.
  ClientLimits::Place place_;
  std::unique_ptr<StreamedShard> shard_;
  // Used by whoever makes the next message, and by Log at the end.
  int64_t bytes_ = 0;
  uint32_t crc_ = 0;
  // The message that gRPC writes.
  grpc::ByteBuffer on_wire_;

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kOpening;
  // Next row to encode.
  int64_t row_ ABSL_GUARDED_BY(mutex_) = 0;
  CutsAhead cuts_ ABSL_GUARDED_BY(mutex_);
  // Valid: made, not yet on its way.
  grpc::ByteBuffer next_ ABSL_GUARDED_BY(mutex_);
  // Waiting: a message is on its way.
  ClientWait write_ ABSL_GUARDED_BY(mutex_);
  // A thread makes the next message, or will: from the start, since Prepare is queued first.
  bool making_ ABSL_GUARDED_BY(mutex_) = true;
  // Why it stopped, or ended.
  absl::Status outcome_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
