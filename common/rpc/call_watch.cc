#include "common/rpc/call_watch.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/rpc/caller.h"

namespace distillery {
namespace {

// What a call takes anyhow is more than answers that are smaller.
constexpr int64_t kCountedBytes = 4096;
constexpr int64_t kMebibyte = 1 << 20;
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
    // No batch is under way any more, nor anybody who could look at this.
    if (sending_ != nullptr) watch_->Remove(unread_, /*sent=*/false);
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
      if (send_wait_.Longer(now, limit) && watch_->Idle(unread_, send_wait_.since(), now, limit)) {
        what = "the client read nothing";
      }
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
      const Unread unread = BeginSend(methods);
      MutexLock lock(mutex_);
      sending_ = methods;
      unread_ = unread;
      send_wait_.Begin(Now());
      return;
    }
    const bool received = methods->QueryInterceptionHookPoint(Hook::POST_RECV_MESSAGE);
    MutexLock lock(mutex_);
    if (methods == sending_) {
      sending_ = nullptr;
      send_wait_.End();
      // An answer that was refused has no bytes, and its status needs no room.
      watch_->Remove(unread_, unread_.bytes > 0 && methods->GetSendMessageStatus());
    } else if (received) {
      read_wait_.End();
    } else if (methods->GetRecvMessage() != nullptr) {
      read_wait_.Begin(Now());
    }
  }

  // In place of an answer for which there is no room the client gets a status.
  Unread BeginSend(grpc::experimental::InterceptorBatchMethods* methods) {
    grpc::ByteBuffer* const message = methods->GetSerializedSendMessage();
    Unread unread{context_->peer(), "", static_cast<int64_t>(message->Length())};
    // An answer that ends its call: of streams each has one message under way.
    if (unread.bytes >= kCountedBytes &&
        methods->QueryInterceptionHookPoint(Hook::PRE_SEND_STATUS)) {
      unread.client = ClientOf(*context_);
    }
    if (watch_->Add(unread)) return unread;
    message->Clear();
    methods->ModifySendStatus(
        {grpc::StatusCode::RESOURCE_EXHAUSTED,
         absl::StrCat("answers that this client has not read take as many bytes as they may (",
                      watch_->options_.unread_bytes_per_client,
                      " with --max-unread-mib-per-client, less when others have many): read some "
                      "first, or ask for less at once")});
    unread = {unread.connection, "", 0};
    watch_->Add(unread);
    return unread;
  }

  absl::Duration Now() const { return watch_->options_.clock->SteadyNow(); }

  CallWatch* const watch_;
  // Lives at least until POST_RECV_CLOSE.
  grpc::ServerContextBase* const context_;
  const std::string method_;

  Mutex mutex_;
  // The batch that sends a message, if one is under way, and the message.
  const grpc::experimental::InterceptorBatchMethods* sending_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Unread unread_ ABSL_GUARDED_BY(mutex_);
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

int64_t CallWatch::unread_messages() const {
  MutexLock lock(mutex_);
  int64_t count = 0;
  for (const auto& [name, connection] : connections_) count += connection.messages;
  return count;
}

int64_t CallWatch::unread_bytes() const {
  MutexLock lock(mutex_);
  return unread_total_;
}

bool CallWatch::Add(const Unread& message) {
  MutexLock lock(mutex_);
  const bool counted = !message.client.empty();
  if (counted) {
    if (!HasRoom(message)) return false;
    unread_[message.client] += message.bytes;
    unread_total_ += message.bytes;
  }
  Connection& connection = connections_[message.connection];
  ++connection.messages;
  connection.answers += counted ? 1 : 0;
  connection.bytes += message.bytes;
  return true;
}

void CallWatch::Remove(const Unread& message, bool sent) {
  MutexLock lock(mutex_);
  const bool counted = !message.client.empty();
  if (counted) {
    const auto client = unread_.find(message.client);
    unread_total_ -= message.bytes;
    client->second -= message.bytes;
    if (client->second == 0) unread_.erase(client);
  }
  const auto found = connections_.find(message.connection);
  Connection& connection = found->second;
  connection.answers -= counted ? 1 : 0;
  connection.bytes -= message.bytes;
  if (sent) connection.progress = options_.clock->SteadyNow();
  if (--connection.messages == 0) connections_.erase(found);
}

bool CallWatch::HasRoom(const Unread& answer) const {
  const auto client = unread_.find(answer.client);
  if (client == unread_.end()) return true;  // one is always let through
  const int64_t bytes = client->second + answer.bytes;
  if (unread_total_ + answer.bytes > options_.unread_bytes) {
    const auto clients = static_cast<int64_t>(unread_.size());
    const int64_t share = std::min(options_.unread_bytes_share, options_.unread_bytes / clients);
    return bytes <= std::min(share, options_.unread_bytes_per_client);
  }
  // Who shares its address with one that reads nothing has another connection.
  const auto connection = connections_.find(answer.connection);
  if (connection == connections_.end() || connection->second.answers == 0) return true;
  return bytes <= options_.unread_bytes_per_client;
}

bool CallWatch::Idle(const Unread& message, absl::Duration since, absl::Duration now,
                     absl::Duration limit) const {
  MutexLock lock(mutex_);
  const Connection& connection = connections_.at(message.connection);
  return now - std::max(since, connection.progress) >=
         limit * std::max<int64_t>(1, connection.bytes / kMebibyte);
}

}  // namespace distillery
