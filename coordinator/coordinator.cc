#include "coordinator/coordinator.h"

#include <algorithm>
#include <list>
#include <tuple>
#include <utility>
#include <vector>

#include "common/base/disk_errors.h"
#include "coordinator/lease_ending.h"
#include "coordinator/lease_scheduling.h"
#include "coordinator/ledger_loader.h"
#include "coordinator/repair.h"
#include "coordinator/run_course.h"

namespace distillery {

Coordinator::Coordinator(std::unique_ptr<Ledger> ledger)
    : ledger_(std::move(ledger)),
      weights_(*ledger_),
      runs_(*ledger_, weights_),
      leases_(*ledger_),
      results_(*ledger_),
      closer_(*ledger_) {}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(const Options& options) {
  auto ledger = OpenLedger(options);
  if (!ledger.ok()) return ledger.status();
  std::unique_ptr<Coordinator> coordinator(new Coordinator(*std::move(ledger)));
  coordinator->weights_.ForgetUploads();
  return coordinator;
}

Coordinator::~Coordinator() {
  Close();
  if (timer_.joinable()) timer_.join();
  if (averager_.joinable()) averager_.join();
}

void Coordinator::Start() {
  timer_ = std::thread([this] { RunTimer(); });
  averager_ = std::thread([this] { RunAverager(); });
}

void Coordinator::RunTimer() {
  Ledger& ledger = *ledger_;
  while (true) {
    {
      MutexLock lock(ledger.mutex());
      while (!ledger.closing && !ledger.woken) {
        absl::Duration left = NextWake(ledger) - ledger.Now();
        // Leases do not end while the disk is full, so their deadlines are none.
        const bool lacking = ledger.disk.lack() != DiskWatch::Lack::kNothing;
        if (lacking) left = std::max(left, absl::Milliseconds(200));
        if (left <= absl::ZeroDuration()) break;
        ledger.wake_timer.WaitFor(ledger.mutex(), std::min(left, absl::Seconds(1)));
        if (lacking) break;
      }
      if (ledger.closing) return;
      ledger.woken = false;
    }
    Tick();
  }
}

void Coordinator::RunAverager() {
  while (AverageNext() || closer_.AwaitNext()) {
  }
}

void Coordinator::Close() {
  std::list<LeaseWaiter> waiters;
  {
    MutexLock lock(ledger_->mutex());
    ledger_->closing = true;
    waiters.swap(ledger_->waiters);
    ledger_->wake_timer.NotifyAll();
    ledger_->wake_averager.NotifyAll();
  }
  for (LeaseWaiter& waiter : waiters) {
    waiter.done(absl::UnavailableError("the coordinator is stopping"));
  }
  for (const auto& listener : runs_.listeners()) listener->OnRunChanged();
}

bool Coordinator::closing() {
  MutexLock lock(ledger_->mutex());
  return ledger_->closing;
}

void Coordinator::Tick() {
  Ledger& ledger = *ledger_;
  ledger.disk.Probe();
  std::vector<OfferedTask> offered =
      ledger.Write([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
        FollowDisk(ledger);
        // The end of a lease must be recorded, so none ends while that cannot be.
        if (!ledger.disk.full()) {
          EndOverdueLeases(ledger);
          AdvanceOverdueRuns(ledger);
        }
        return OfferTasks(ledger);
      });
  for (OfferedTask& task : offered) task.waiter.done(std::move(task.answer));
  results_.ForgetSuperseded();
  runs_.TellListeners();
}

Gauges Coordinator::gauges() {
  Gauges gauges;
  if (const auto free = FreeBytes(state_dir()); free.ok()) gauges.free_bytes = *free;
  gauges.watchers = static_cast<int64_t>(runs_.listeners().size());
  gauges.disk_full = ledger_->disk.full();
  MutexLock lock(ledger_->mutex());
  for (const RunEntry* const run : ledger_->run_order) {
    ++gauges.runs[run->row.state];
    if (Ended(run->row.state)) continue;
    for (const auto& [key, task] : run->tasks) {
      const TaskState state = task.row.done ? TaskState::kDone
                              : task.free() ? TaskState::kFree
                                            : TaskState::kLeased;
      ++gauges.tasks[{std::get<0>(key), state}];
      gauges.active_leases += static_cast<int64_t>(task.tokens.size());
    }
  }
  gauges.known_workers = static_cast<int64_t>(ledger_->workers.size());
  gauges.live_workers = ledger_->CountLiveWorkers();
  gauges.waiting_workers = static_cast<int64_t>(ledger_->waiters.size());
  return gauges;
}

}  // namespace distillery
