#include "student_worker/slots.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/backoff.h"
#include "common/base/logging.h"
#include "common/base/stop_signal.h"

namespace distillery {
namespace {

constexpr char kSlotVariable[] = "DISTILLERY_SLOT";

struct Slot {
  pid_t process = -1;
  absl::Time started;
  absl::Time restart_at;
  Backoff backoff;
};

pid_t StartSlot(int index, char** argv) {
  const std::string value = std::to_string(index);
  const pid_t process = fork();
  if (process != 0) return process;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setenv(kSlotVariable, value.c_str(), 1);
  execv("/proc/self/exe", argv);
  _exit(127);
}

}  // namespace

int SuperviseSlots(int slots, char** argv) {
  constexpr absl::Duration kHealthy = absl::Seconds(30);
  std::vector<Slot> running(static_cast<size_t>(slots));
  while (!StopSignal::Requested()) {
    for (size_t i = 0; i < running.size(); ++i) {
      Slot& slot = running[i];
      int status = 0;
      if (slot.process > 0 && waitpid(slot.process, &status, WNOHANG) == slot.process) {
        // Wrong usage does not get better by trying again.
        if (WIFEXITED(status) && WEXITSTATUS(status) == 2) StopSignal::Request();
        slot.process = -1;
        if (absl::Now() - slot.started > kHealthy) slot.backoff.Reset();
        slot.restart_at = absl::Now() + slot.backoff.Next();
        spdlog::warn("slot {} ended ({}); starting it again", i, status);
      }
      if (slot.process <= 0 && absl::Now() >= slot.restart_at) {
        slot.process = StartSlot(static_cast<int>(i), argv);
        slot.started = absl::Now();
      }
    }
    StopSignal::WaitFor(absl::Milliseconds(100));
  }
  for (const Slot& slot : running) {
    if (slot.process > 0) kill(slot.process, SIGTERM);
  }
  for (const Slot& slot : running) {
    if (slot.process > 0) waitpid(slot.process, nullptr, 0);
  }
  return 0;
}

int CurrentSlot() {
  const char* const value = std::getenv(kSlotVariable);
  return value == nullptr ? -1 : std::atoi(value);
}

}  // namespace distillery
