#include "common/rpc/connection.h"

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"
#include "common/security/handshake.h"

namespace distillery {

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(const std::string& address,
                                                             const TransportOptions& options,
                                                             const std::string& tls_name) {
  DISTILLERY_RETURN_IF_ERROR(CheckTransport(address, options));
  DISTILLERY_ASSIGN_OR_RETURN(auto watch, WatchTlsFiles(options));
  return With(address, std::move(watch), tls_name);
}

std::shared_ptr<Connection> Connection::With(const std::string& address,
                                             std::shared_ptr<TlsFileWatch> files,
                                             const std::string& tls_name) {
  return std::shared_ptr<Connection>(new Connection(address, tls_name, std::move(files)));
}

std::shared_ptr<Connection> Connection::Of(std::shared_ptr<grpc::Channel> channel) {
  std::shared_ptr<Connection> connection(new Connection("", "", nullptr));
  MutexLock lock(connection->mutex_);
  connection->channel_ = std::move(channel);
  return connection;
}

std::shared_ptr<grpc::Channel> Connection::channel() {
  MutexLock lock(mutex_);
  const std::shared_ptr<const TlsFiles> files = watch_ == nullptr ? nullptr : watch_->Get();
  if (channel_ == nullptr || files != files_) {
    files_ = files;
    channel_ = MakeChannelWith(address_, files.get(), tls_name_);
  }
  return channel_;
}

absl::Status Connection::Diagnose() {
  if (address_.empty()) return absl::OkStatus();
  const std::shared_ptr<const TlsFiles> files = watch_ == nullptr ? nullptr : watch_->Get();
  if (files != nullptr) {
    // It may have ended since it was read.
    const absl::Status valid = CheckValidity(files->info, absl::Now());
    if (!valid.ok()) return Annotate(valid, "this program's certificate");
  }
  HandshakeQuestion question;
  question.address = address_;
  question.name = tls_name_;
  question.files = files.get();
  return AskByHandshake(question);
}

absl::Status Connection::Explain(const absl::Status& status) {
  if (!NobodyAnswered(status)) return status;
  const absl::Status found = Diagnose();
  return found.ok() ? status : found;
}

}  // namespace distillery
