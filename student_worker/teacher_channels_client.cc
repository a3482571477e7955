#include "student_worker/teacher_channels_client.h"

#include "common/base/status_macros.h"

namespace distillery {
namespace {

bool LostItsConnection(grpc::Channel& channel) {
  switch (channel.GetState(/*try_to_connect=*/false)) {
    case GRPC_CHANNEL_READY:
    case GRPC_CHANNEL_SHUTDOWN: return false;  // what a channel inside the process says
    default: return true;
  }
}

}  // namespace

TeacherChannels::TeacherChannels(std::unique_ptr<TeacherSet> teachers, Factory factory)
    : set_(std::move(teachers)), factory_(std::move(factory)) {}

absl::StatusOr<std::unique_ptr<TeacherChannels>> TeacherChannels::Open(
    const std::string& list, const TransportOptions& transport) {
  DISTILLERY_ASSIGN_OR_RETURN(
      auto addresses,
      TeacherAddresses::Create(list, std::make_shared<SystemResolver>(), TeacherAddresses::Options()));
  // Wrong flags show at the start: what a name stands for is known later.
  for (const std::string& given : addresses->given()) {
    DISTILLERY_RETURN_IF_ERROR(MakeChannel(given, transport).status());
  }
  auto set = std::make_unique<TeacherSet>(std::move(addresses), TeacherSet::Options());
  return std::make_unique<TeacherChannels>(std::move(set), [transport](const TeacherAddress& at) {
    return MakeChannel(at.target, transport, at.host);
  });
}

std::unique_ptr<TeacherChannels> TeacherChannels::Of(std::shared_ptr<grpc::Channel> channel,
                                                     const std::string& label) {
  auto set = std::make_unique<TeacherSet>(TeacherAddresses::Fixed({label, "", label}),
                                          TeacherSet::Options());
  return std::make_unique<TeacherChannels>(std::move(set),
                                           [channel](const TeacherAddress&) { return channel; });
}

absl::StatusOr<std::optional<TeacherChannels::Teacher>> TeacherChannels::Pick(
    const TeacherSet::Question& question) {
  MutexLock lock(mutex_);
  for (const TeacherAddress& address : set_->LeftOut()) {
    const auto channel = channels_.find(address.target);
    if (channel != channels_.end() && LostItsConnection(*channel->second)) {
      set_->ForgetDigests(address.target);
    }
  }
  const std::optional<TeacherAddress> best = set_->Pick(question);
  for (auto channel = channels_.begin(); channel != channels_.end();) {
    channel = set_->Knows(channel->first) ? std::next(channel) : channels_.erase(channel);
  }
  if (!best.has_value()) return std::optional<Teacher>();
  std::shared_ptr<grpc::Channel>& channel = channels_[best->target];
  if (channel == nullptr) {
    absl::StatusOr<std::shared_ptr<grpc::Channel>> made = factory_(*best);
    if (!made.ok()) {
      channels_.erase(best->target);
      return made.status();
    }
    channel = *std::move(made);
  }
  return std::optional<Teacher>({*best, channel});
}

}  // namespace distillery
