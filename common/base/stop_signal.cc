#include "common/base/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <thread>

#include "common/base/mutex.h"

namespace distillery {
namespace {

struct State {
  std::atomic<bool> requested{false};
  std::atomic<int> signal{0};
  Mutex mutex;
  ConditionVariable changed;
};

State& Shared() {
  static State* const state = new State;  // outlives the waiting thread
  return *state;
}

}  // namespace

void StopSignal::Install() {
  Shared();
  static sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::thread([] {
    while (true) {
      int number = 0;
      if (sigwait(&set, &number) != 0) continue;
      if (Shared().signal.exchange(number) != 0) _exit(128 + number);
      Request();
    }
  }).detach();
}

bool StopSignal::Requested() { return Shared().requested.load(); }

bool StopSignal::WaitFor(absl::Duration timeout) {
  State& state = Shared();
  const absl::Time deadline = absl::Now() + timeout;
  MutexLock lock(state.mutex);
  while (!state.requested.load()) {
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    state.changed.WaitFor(state.mutex, std::min(left, absl::Hours(1)));
  }
  return true;
}

void StopSignal::Wait() { WaitFor(absl::InfiniteDuration()); }

void StopSignal::Request() {
  State& state = Shared();
  MutexLock lock(state.mutex);
  state.requested.store(true);
  state.changed.NotifyAll();
}

int StopSignal::Signal() { return Shared().signal.load(); }

const std::atomic<bool>& StopSignal::Flag() { return Shared().requested; }

}  // namespace distillery
