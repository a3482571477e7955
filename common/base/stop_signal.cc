#include "common/base/stop_signal.h"

#include <semaphore.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace distillery {
namespace {

struct State {
  std::atomic<bool> requested{false};
  std::atomic<int> signal{0};
  sem_t arrived;
  Mutex mutex;
  ConditionVariable changed;
};

State& Shared() {
  static State* const state = new State;  // outlives the waiting thread
  return *state;
}

// All that a handler may do: remember and wake.
void OnSignal(int number) {
  if (Shared().signal.exchange(number) != 0) _exit(128 + number);
  sem_post(&Shared().arrived);
}

}  // namespace

void StopSignal::Install() {
  sem_init(&Shared().arrived, /*pshared=*/0, 0);
  // A handler rather than a blocked signal and sigwait: OpenBLAS starts threads while it is loaded,
  // before main could block anything for them.
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::thread([] {
    while (sem_wait(&Shared().arrived) != 0) {
    }
    Request();
  }).detach();
}

bool StopSignal::Requested() { return Shared().requested.load(); }

bool StopSignal::WaitFor(absl::Duration timeout) {
  State& state = Shared();
  const absl::Duration deadline = SteadyNow() + timeout;
  MutexLock lock(state.mutex);
  while (!state.requested.load()) {
    const absl::Duration left = deadline - SteadyNow();
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
