#include "common/rpc/call_watch.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/rpc/caller.h"

namespace distillery {
namespace {

// What a call takes anyhow is more than answers that are smaller.
constexpr int64_t kCountedBytes = 4096;
constexpr absl::Duration kPatience = absl::Seconds(5);

}  // namespace

// One call. Each batch of operations passes Intercept twice, when it begins and when it ends, with
// the same `methods`.
class CallWatch::Call : public grpc::experimental::Interceptor, public WatchedStream {
 public:
  Call(CallWatch* watch, grpc::ServerContextBase* context, std::string method)
      : watch_(watch), context_(context), method_(std::move(method)) {
    watch_->streams_.Add(this);
  }
  ~Call() override {
    watch_->streams_.Remove(this);
    if (unread_bytes_ > 0) watch_->RemoveUnread(client_, unread_bytes_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    Note(methods);
    methods->Proceed();
  }

  void EndIfIdle(absl::Duration now, absl::Duration limit) override {
    absl::string_view what;
    {
      MutexLock lock(mutex_);
      if (ended_) return;
      if (read_wait_.Longer(now, limit)) what = "the client sent nothing";
      if (send_wait_.Longer(now, limit)) what = "the client read nothing";
      ended_ = !what.empty();
    }
    if (what.empty()) return;
    NoteIdle(absl::StrCat(method_, ": ", what), limit, ClientOf(*context_));
    context_->TryCancel();
  }

 private:
  using Hook = grpc::experimental::InterceptionHookPoints;

  void Note(grpc::experimental::InterceptorBatchMethods* methods) {
    // Such methods may be asked nothing else.
    if (methods->QueryInterceptionHookPoint(Hook::PRE_SEND_CANCEL)) return;
    // From here on the call may go at any time, although this stays a little longer.
    if (methods->QueryInterceptionHookPoint(Hook::POST_RECV_CLOSE)) {
      return watch_->streams_.Remove(this);
    }
    if (methods->QueryInterceptionHookPoint(Hook::PRE_SEND_MESSAGE)) {
      // An answer that ends its call: of streams each has one message under way.
      if (methods->QueryInterceptionHookPoint(Hook::PRE_SEND_STATUS)) CountAnswer(methods);
      MutexLock lock(mutex_);
      sending_ = methods;
      send_wait_.Begin(Now());
      return;
    }
    const bool received = methods->QueryInterceptionHookPoint(Hook::POST_RECV_MESSAGE);
    MutexLock lock(mutex_);
    if (methods == sending_) {
      sending_ = nullptr;
      send_wait_.End();
    } else if (received) {
      read_wait_.End();
    } else if (methods->GetRecvMessage() != nullptr) {
      read_wait_.Begin(Now());
    }
  }

  // In place of an answer for which there is no room the client gets a status.
  void CountAnswer(grpc::experimental::InterceptorBatchMethods* methods) {
    grpc::ByteBuffer* const answer = methods->GetSerializedSendMessage();
    const auto bytes = static_cast<int64_t>(answer->Length());
    if (bytes < kCountedBytes) return;
    client_ = ClientOf(*context_);
    if (watch_->AddUnread(client_, bytes)) {
      unread_bytes_ = bytes;
      return;
    }
    answer->Clear();
    methods->ModifySendStatus(
        {grpc::StatusCode::RESOURCE_EXHAUSTED,
         absl::StrCat("answers that this client has not read take as many bytes as they may (",
                      watch_->options_.unread_bytes_per_client,
                      ", less when others have many): read some first, or ask for less at once")});
  }

  absl::Duration Now() const { return watch_->options_.clock->SteadyNow(); }

  CallWatch* const watch_;
  // Lives at least until POST_RECV_CLOSE.
  grpc::ServerContextBase* const context_;
  const std::string method_;
  // The answer that ends the call: whose it is, and its bytes.
  std::string client_;
  int64_t unread_bytes_ = 0;

  Mutex mutex_;
  const grpc::experimental::InterceptorBatchMethods* sending_ ABSL_GUARDED_BY(mutex_) = nullptr;
  ClientWait send_wait_ ABSL_GUARDED_BY(mutex_);
  ClientWait read_wait_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

class CallWatch::Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(CallWatch* watch) : watch_(watch) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Call(watch_, info->server_context(), Printable(info->method()));  // owned by gRPC
  }

 private:
  CallWatch* const watch_;
};

CallWatch::CallWatch(const Options& options)
    : options_(options), streams_(options.clock, options.idle_limit + kPatience) {}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
CallWatch::MakeInterceptors() {
  return std::make_unique<Factory>(this);
}

int64_t CallWatch::unread_bytes() const {
  MutexLock lock(mutex_);
  return unread_total_;
}

bool CallWatch::AddUnread(const std::string& client, int64_t bytes) {
  MutexLock lock(mutex_);
  const auto found = unread_.find(client);
  const int64_t mine = found == unread_.end() ? 0 : found->second;
  // One answer is always let through.
  if (mine > 0) {
    if (mine + bytes > options_.unread_bytes_per_client) return false;
    if (unread_total_ + bytes > options_.unread_bytes &&
        mine + bytes > options_.unread_bytes_share) {
      return false;
    }
  }
  unread_[client] = mine + bytes;
  unread_total_ += bytes;
  return true;
}

void CallWatch::RemoveUnread(const std::string& client, int64_t bytes) {
  MutexLock lock(mutex_);
  const auto found = unread_.find(client);
  unread_total_ -= bytes;
  found->second -= bytes;
  if (found->second == 0) unread_.erase(found);
}

}  // namespace distillery
