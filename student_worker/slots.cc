#include "student_worker/slots.h"

#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "common/base/backoff.h"
#include "common/base/child_process.h"
#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/base/stop_signal.h"

namespace distillery {
namespace {

constexpr char kSlotVariable[] = "DISTILLERY_SLOT";

struct Slot {
  std::optional<ChildProcess> process;
  absl::Duration started;
  absl::Duration restart_at;
  Backoff backoff;
};

std::optional<ChildProcess> StartSlot(size_t index, char** argv) {
  ChildProcess::Options options;
  options.arguments = {"/proc/self/exe"};
  for (char** argument = argv + 1; *argument != nullptr; ++argument) {
    options.arguments.emplace_back(*argument);
  }
  options.environment = {{kSlotVariable, std::to_string(index)}};
  options.death_signal = SIGTERM;
  absl::StatusOr<ChildProcess> process = ChildProcess::Start(options);
  if (process.ok()) return *std::move(process);
  LogError("slot {}: {}", index, std::string(process.status().message()));
  return std::nullopt;
}

}  // namespace

int SuperviseSlots(int slots, char** argv) {
  constexpr absl::Duration kHealthy = absl::Seconds(30);
  std::vector<Slot> running(static_cast<size_t>(slots));
  const absl::Duration begun = SteadyNow();
  int code = 0;
  while (code == 0 && !StopSignal::Requested()) {
    for (size_t i = 0; i < running.size(); ++i) {
      Slot& slot = running[i];
      if (slot.process.has_value()) {
        if (const auto end = slot.process->Poll()) {
          // Wrong usage does not get better by trying again, nor does what is wrong at the start,
          // such as a certificate.
          if (end->exit_code == 2 || (end->exit_code == 1 && SteadyNow() - begun < kHealthy)) {
            code = end->exit_code;
          }
          slot.process.reset();
          if (SteadyNow() - slot.started > kHealthy) slot.backoff.Reset();
          slot.restart_at = SteadyNow() + slot.backoff.Next();
          if (code != 0) break;
          LogWarning("slot {} ended ({}); starting it again", i, end->ToString());
        }
      } else if (SteadyNow() >= slot.restart_at) {
        slot.process = StartSlot(i, argv);
        slot.started = SteadyNow();
        if (!slot.process.has_value()) slot.restart_at = SteadyNow() + slot.backoff.Next();
      }
    }
    if (code == 0) StopSignal::WaitFor(absl::Milliseconds(100));
  }
  for (Slot& slot : running) {
    if (slot.process.has_value()) slot.process->Signal(SIGTERM);
  }
  for (Slot& slot : running) {
    if (slot.process.has_value()) slot.process->WaitOrKill(absl::Seconds(8));
  }
  return code;
}

int CurrentSlot() {
  const char* const value = std::getenv(kSlotVariable);
  return value == nullptr ? -1 : std::atoi(value);
}

}  // namespace distillery
