#include "common/base/failpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/descriptor.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr char kVariable[] = "DISTILLERY_FAILPOINTS";
constexpr char kLogVariable[] = "DISTILLERY_FAILPOINT_LOG";

struct Arm {
  // 0: not armed.
  int64_t at = 0;
  // 0: it sleeps.
  int signal = 0;
  absl::Duration sleep;
};

struct State {
  std::array<Arm, std::size(kFailpoints)> arms{};
  std::array<std::atomic<int64_t>, std::size(kFailpoints)> hits{};
  std::string log_path;
};

State& Shared() {
  static State* const state = new State;  // outlives every thread that may hit
  return *state;
}

absl::Status ParseItem(const std::string& item, std::array<Arm, std::size(kFailpoints)>* arms) {
  const std::pair<std::string, std::string> named = absl::StrSplit(item, absl::MaxSplits('=', 1));
  const std::pair<std::string, std::string> counted =
      absl::StrSplit(named.second, absl::MaxSplits('@', 1));
  const size_t index = FailpointIndex(named.first);
  if (index == std::size(kFailpoints)) {
    return absl::InvalidArgumentError(absl::StrCat(
        kVariable, ": ",
        UnknownName("failpoint", named.first, {std::begin(kFailpoints), std::end(kFailpoints)})));
  }
  Arm arm;
  int64_t millis = 0;
  absl::string_view action = counted.first;
  if (action == "kill") arm.signal = SIGKILL;
  if (action == "stop") arm.signal = SIGSTOP;
  if (absl::ConsumePrefix(&action, "sleep:") && absl::SimpleAtoi(action, &millis) && millis > 0) {
    arm.sleep = absl::Milliseconds(millis);
  }
  const bool acts = arm.signal != 0 || arm.sleep > absl::ZeroDuration();
  const bool first = counted.second.empty() && named.second.find('@') == std::string::npos;
  if (!acts || (!first && (!absl::SimpleAtoi(counted.second, &arm.at) || arm.at < 1))) {
    return absl::InvalidArgumentError(absl::StrCat(kVariable, ": \"", item,
                                                   "\": write NAME=kill or NAME=stop, or "
                                                   "NAME=sleep:MILLISECONDS, with @HIT from 1"));
  }
  if (first) arm.at = 1;
  if ((*arms)[index].at != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(kVariable, ": ", named.first, " is given twice"));
  }
  (*arms)[index] = arm;
  return absl::OkStatus();
}

}  // namespace

absl::Status ArmFailpoints(const std::string& text, const std::string& log_path) {
  if (text.empty()) return absl::OkStatus();
  std::array<Arm, std::size(kFailpoints)> arms{};
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    DISTILLERY_RETURN_IF_ERROR(ParseItem(std::string(item), &arms));
  }
  State& state = Shared();
  state.arms = arms;
  for (auto& hits : state.hits) hits.store(0);
  state.log_path = log_path;
  failpoint_internal::armed.store(true);
  LogWarning("this process will be ended, stopped or slowed by {}={}", kVariable, text);
  return absl::OkStatus();
}

absl::Status ArmFailpoints() {
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  return ArmFailpoints(variable(kVariable), variable(kLogVariable));
}

void DisarmFailpoints() { failpoint_internal::armed.store(false); }

namespace failpoint_internal {

std::atomic<bool> armed{false};

void Hit(size_t index) {
  State& state = Shared();
  const Arm& arm = state.arms[index];
  if (arm.at == 0) return;
  const int64_t hit = state.hits[index].fetch_add(1) + 1;
  if (arm.signal == 0 && hit >= arm.at) absl::SleepFor(arm.sleep);
  if (arm.signal == 0 || hit != arm.at) return;
  if (!state.log_path.empty()) {
    const Descriptor log(
        open(state.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    const std::string line =
        absl::StrCat(std::string(kFailpoints[index]), arm.signal == SIGKILL ? " kill " : " stop ",
                     getpid(), " ", arm.at, "\n");
    // One write, so that lines of several processes do not mix. Without the line the driver of the
    // test takes the death for a fault of ours, which is as it should be.
    if (write(log.get(), line.data(), line.size()) < 0) LogWarning("failpoint log: no line");
  }
  kill(getpid(), arm.signal);
  // The signal may reach another thread first.
  while (arm.signal == SIGKILL) pause();
}

}  // namespace failpoint_internal
}  // namespace distillery
