#include "student_worker/rpc/teacher_channels.h"

#include "common/base/status_macros.h"

namespace distillery {

TeacherChannels::TeacherChannels(std::unique_ptr<TeacherSet> teachers, Factory factory)
    : set_(std::move(teachers)), factory_(std::move(factory)) {}

absl::StatusOr<std::unique_ptr<TeacherChannels>> TeacherChannels::Open(
    const std::string& list, const TransportOptions& transport,
    const std::shared_ptr<TlsFileWatch>& files) {
  DISTILLERY_ASSIGN_OR_RETURN(auto addresses,
                              TeacherAddresses::Create(list, std::make_shared<SystemResolver>(),
                                                       TeacherAddresses::Options()));
  // Wrong flags show at the start: what a name stands for is known later.
  for (const std::string& given : addresses->given()) {
    DISTILLERY_RETURN_IF_ERROR(CheckTransport(given, transport));
    if (files != nullptr) {
      DISTILLERY_RETURN_IF_ERROR(Connection::With(given, files)->Diagnose());
    }
  }
  auto set = std::make_unique<TeacherSet>(std::move(addresses), TeacherSet::Options());
  return std::make_unique<TeacherChannels>(std::move(set), [files](const TeacherAddress& at) {
    return Connection::With(at.target, files, at.host);
  });
}

std::unique_ptr<TeacherChannels> TeacherChannels::Of(const std::shared_ptr<grpc::Channel>& channel,
                                                     const std::string& label) {
  auto set = std::make_unique<TeacherSet>(TeacherAddresses::Fixed({label, "", label}),
                                          TeacherSet::Options());
  return std::make_unique<TeacherChannels>(
      std::move(set), [channel](const TeacherAddress&) { return Connection::Of(channel); });
}

void TeacherChannels::WatchConnections() {
  const std::set<std::string> troubled = set_->Troubled();
  for (auto& [target, link] : links_) {
    if (troubled.count(target) == 0) {
      link.lost = false;
      continue;
    }
    switch (link.channel->GetState(/*try_to_connect=*/false)) {
      case GRPC_CHANNEL_SHUTDOWN:
        break;  // what a channel inside the process says
      case GRPC_CHANNEL_READY:
        if (link.lost) set_->ConnectionBack(target);
        link.lost = false;
        break;
      default:
        link.lost = true;
        set_->ConnectionLost(target);
    }
  }
}

absl::StatusOr<std::optional<TeacherChannels::Teacher>> TeacherChannels::Pick(
    const TeacherSet::Question& question) {
  MutexLock lock(mutex_);
  WatchConnections();
  const std::optional<TeacherAddress> best = set_->Pick(question);
  for (auto link = links_.begin(); link != links_.end();) {
    link = set_->Knows(link->first) ? std::next(link) : links_.erase(link);
  }
  if (!best.has_value()) return std::optional<Teacher>();
  const auto found = links_.find(best->target);
  if (found != links_.end()) {
    Link& link = found->second;
    if (std::shared_ptr<grpc::Channel> now = link.connection->channel(); now != link.channel) {
      link = {link.connection, std::move(now)};  // another certificate
    }
    // The set's own back-off has passed: gRPC's must not hold the connection up further.
    if (link.lost) grpc::experimental::ChannelResetConnectionBackoff(link.channel.get());
    return std::optional<Teacher>({*best, link.channel, link.connection});
  }
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<Connection> connection, factory_(*best));
  const std::shared_ptr<grpc::Channel> channel = connection->channel();
  links_[best->target] = {connection, channel};
  return std::optional<Teacher>({*best, channel, std::move(connection)});
}

}  // namespace distillery
