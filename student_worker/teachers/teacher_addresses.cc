#include "student_worker/teachers/teacher_addresses.h"

#include <arpa/inet.h>

#include <algorithm>
#include <set>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/logging.h"

namespace distillery {
namespace {

bool IsIpAddress(const std::string& host) {
  in6_addr unused{};
  return inet_pton(AF_INET, host.c_str(), &unused) == 1 ||
         (host.front() == '[' && host.back() == ']') ||
         inet_pton(AF_INET6, host.c_str(), &unused) == 1;
}

std::string Target(const std::string& ip, const std::string& port) {
  const bool ipv6 = absl::StrContains(ip, ":");
  return ipv6 ? absl::StrCat("[", ip, "]:", port) : absl::StrCat(ip, ":", port);
}

}  // namespace

struct TeacherAddresses::State {
  // One entry of the list.
  struct Entry {
    std::string given;
    // Empty: `given` is a target.
    std::string host;
    std::string port;
    std::vector<TeacherAddress> addresses;
    // How the last look-up went.
    absl::Status status;
  };

  std::shared_ptr<NameResolver> resolver;
  Options options;

  Mutex mutex;
  ConditionVariable changed;
  std::vector<Entry> entries ABSL_GUARDED_BY(mutex);
  bool looking ABSL_GUARDED_BY(mutex) = false;
  bool look_again ABSL_GUARDED_BY(mutex) = false;
  bool names ABSL_GUARDED_BY(mutex) = false;
  int64_t look_ups ABSL_GUARDED_BY(mutex) = 0;
  // When the last look-up began.
  absl::Duration looked_at ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<std::unique_ptr<TeacherAddresses>> TeacherAddresses::Create(
    const std::string& list, std::shared_ptr<NameResolver> resolver, const Options& options) {
  auto state = std::make_shared<State>();
  state->resolver = std::move(resolver);
  state->options = options;
  MutexLock lock(state->mutex);
  for (const std::string& piece : std::vector<std::string>(absl::StrSplit(list, ','))) {
    State::Entry entry;
    entry.given = std::string(absl::StripAsciiWhitespace(piece));
    if (!absl::StartsWith(entry.given, "unix:")) {
      const size_t colon = entry.given.rfind(':');
      int port = 0;
      if (colon == std::string::npos || colon == 0 ||
          !absl::SimpleAtoi(entry.given.substr(colon + 1), &port) || port < 1 || port > 65535) {
        return absl::InvalidArgumentError(absl::StrCat(
            "teacher \"", entry.given, "\" is no HOST:PORT (several are separated by commas)"));
      }
      entry.host = entry.given.substr(0, colon);
      entry.port = entry.given.substr(colon + 1);
      // A machine's name for itself stands for one teacher, by whichever family it listens.
      if (IsIpAddress(entry.host) || entry.host == "localhost") entry.host.clear();
    }
    if (entry.host.empty()) {
      entry.addresses = {{entry.given, "", entry.given}};
    } else {
      state->names = true;
      entry.status = absl::UnavailableError("its address is being looked up");
    }
    state->entries.push_back(std::move(entry));
  }
  return std::unique_ptr<TeacherAddresses>(new TeacherAddresses(state));
}

std::unique_ptr<TeacherAddresses> TeacherAddresses::Fixed(const TeacherAddress& address) {
  auto state = std::make_shared<State>();
  MutexLock lock(state->mutex);
  State::Entry entry;
  entry.addresses = {address};
  state->entries.push_back(std::move(entry));
  return std::unique_ptr<TeacherAddresses>(new TeacherAddresses(state));
}

TeacherAddresses::~TeacherAddresses() {
  MutexLock lock(state_->mutex);
  const absl::Duration end = SteadyNow() + state_->options.longest_goodbye;
  while (state_->looking && SteadyNow() < end) {
    state_->changed.WaitFor(state_->mutex, end - SteadyNow());
  }
}

std::vector<TeacherAddress> TeacherAddresses::Current() {
  MutexLock lock(state_->mutex);
  if (state_->names && !state_->looking) {
    const absl::Duration now = state_->options.clock->SteadyNow();
    const absl::Duration period =
        state_->look_again ? state_->options.shortest_period : state_->options.period;
    if (state_->look_ups == 0 || now - state_->looked_at >= period) {
      state_->looking = true;
      state_->look_again = false;
      state_->looked_at = now;
      std::thread([state = state_] { LookUp(state); }).detach();
    }
  }
  std::vector<TeacherAddress> all;
  std::set<std::string> seen;
  for (const State::Entry& entry : state_->entries) {
    for (const TeacherAddress& address : entry.addresses) {
      if (seen.insert(address.target).second) all.push_back(address);
    }
  }
  return all;
}

std::vector<std::string> TeacherAddresses::given() const {
  MutexLock lock(state_->mutex);
  std::vector<std::string> given;
  for (const State::Entry& entry : state_->entries) given.push_back(entry.given);
  return given;
}

std::vector<std::string> TeacherAddresses::Missing() const {
  MutexLock lock(state_->mutex);
  std::vector<std::string> missing;
  for (const State::Entry& entry : state_->entries) {
    if (!entry.addresses.empty()) continue;
    missing.push_back(absl::StrCat(entry.given, " (", entry.status.message(), ")"));
  }
  return missing;
}

void TeacherAddresses::LookAgain() {
  MutexLock lock(state_->mutex);
  state_->look_again = true;
}

void TeacherAddresses::AwaitNews(absl::Duration timeout) {
  MutexLock lock(state_->mutex);
  state_->changed.WaitFor(state_->mutex, timeout);
}

int64_t TeacherAddresses::look_up_count() const {
  MutexLock lock(state_->mutex);
  return state_->look_ups;
}

bool TeacherAddresses::FirstLookUp() const {
  MutexLock lock(state_->mutex);
  return state_->names && state_->look_ups == 0;
}

void TeacherAddresses::LookUp(const std::shared_ptr<State>& state) {
  std::vector<std::string> hosts;
  {
    MutexLock lock(state->mutex);
    for (const State::Entry& entry : state->entries) hosts.push_back(entry.host);
  }
  std::vector<absl::StatusOr<std::vector<std::string>>> found;
  found.reserve(hosts.size());
  for (const std::string& host : hosts) {
    found.push_back(host.empty() ? std::vector<std::string>() : state->resolver->Resolve(host));
  }
  MutexLock lock(state->mutex);
  for (size_t i = 0; i < hosts.size(); ++i) {
    State::Entry& entry = state->entries[i];
    if (entry.host.empty()) continue;
    entry.status = found[i].status();
    if (entry.status.ok() && found[i]->empty()) {
      entry.status = absl::UnavailableError(absl::StrCat(entry.host, " has no address"));
    }
    if (!entry.status.ok()) continue;
    std::vector<TeacherAddress> addresses;
    for (const std::string& ip : *found[i]) {
      const std::string target = Target(ip, entry.port);
      addresses.push_back({target, entry.host, absl::StrCat(target, " (", entry.host, ")")});
    }
    if (addresses != entry.addresses) {
      LogInfo("{}: teachers at {}", entry.given, absl::StrJoin(*found[i], ", "));
      entry.addresses = std::move(addresses);
    }
  }
  ++state->look_ups;
  state->looking = false;
  state->changed.NotifyAll();
}

}  // namespace distillery
