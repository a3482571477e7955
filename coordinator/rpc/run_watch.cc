#include "coordinator/rpc/run_watch.h"

#include <memory>
#include <utility>

#include "common/rpc/caller.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/rpc/run_messages.h"

namespace distillery {
namespace {

// Sends the run each time it changes, one message in flight; changes meanwhile are merged into one.
// The states are in the header.
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
      if (reactor_ != nullptr) End(ToGrpcStatus(status));
    }
    void Written(bool ok) {
      MutexLock lock(mutex_);
      write_.End();
      if (!ok) Break();
      Next();
    }
    // True: it has waited for so long, and must be cancelled.
    bool EndIfIdle(absl::Duration now, absl::Duration limit) {
      MutexLock lock(mutex_);
      if (state_ == State::kBroken || state_ == State::kOver || !write_.Longer(now, limit)) {
        return false;
      }
      Break();
      return true;
    }
    void Cancelled() {
      MutexLock lock(mutex_);
      Break();
      Next();
    }
    void Detach() {
      MutexLock lock(mutex_);
      reactor_ = nullptr;
    }

   private:
    enum class State { kWatching, kClosing, kBroken, kOver };

    void Break() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (state_ != State::kOver) state_ = State::kBroken;
    }
    void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (state_ == State::kOver) return;
      state_ = State::kOver;
      reactor_->Finish(status);
    }
    void Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      if (reactor_ == nullptr || write_.waiting()) return;
      if (state_ == State::kBroken) return End(grpc::Status::CANCELLED);
      if (state_ == State::kClosing) return End(grpc::Status::OK);
      if (state_ == State::kOver || !changed_) return;
      changed_ = false;
      const absl::StatusOr<RunView> view = reactor_->coordinator_->runs().Get(reactor_->run_id_);
      if (!view.ok()) return End(ToGrpcStatus(view.status()));
      if (Ended(view->row.state)) {
        state_ = State::kClosing;
      } else if (reactor_->coordinator_->closing()) {
        return End(ToGrpcStatus(absl::UnavailableError("the coordinator is stopping")));
      }
      write_.Begin(reactor_->context_.watch->clock()->SteadyNow());
      reactor_->message_.Clear();
      FillRun(*view, reactor_->message_.mutable_run());
      reactor_->StartWrite(&reactor_->message_);
    }

    Mutex mutex_;
    WatchReactor* reactor_ ABSL_GUARDED_BY(mutex_);
    State state_ ABSL_GUARDED_BY(mutex_) = State::kWatching;
    // Since the last message was made.
    bool changed_ ABSL_GUARDED_BY(mutex_) = false;
    // Waiting: a message is on its way.
    ClientWait write_ ABSL_GUARDED_BY(mutex_);
  };

  const StreamContext context_;
  Coordinator* const coordinator_;
  const std::string run_id_;
  ClientLimits::Place place_;
  const std::shared_ptr<Listener> listener_;
  v1::WatchRunResponse message_;
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchRunResponse>* StartWatch(const StreamContext& context,
                                                           const std::string& run_id) {
  auto* const reactor = new WatchReactor(context, run_id);
  reactor->Start();
  return reactor;
}

}  // namespace distillery
