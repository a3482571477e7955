// Where runs are submitted, paused, resumed, cancelled, deleted, looked at and watched.
//
// Threads: safe for all. What changes a run blocks for the disk.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"
#include "coordinator/ledger.h"
#include "coordinator/run_listener.h"
#include "coordinator/weights_shelf.h"

namespace distillery {

class RunDesk {
 public:
  // Both must outlive this.
  RunDesk(Ledger& ledger, WeightsShelf& shelf) : ledger_(ledger), shelf_(shelf) {}

  // ALREADY_EXISTS never: the same request_id gives the same run. INVALID_ARGUMENT for a bad spec;
  // FAILED_PRECONDITION if its initial weights have not been uploaded, or a run that it depends on
  // is not known or has ended without success.
  absl::StatusOr<RunView> Submit(const std::string& request_id, const RunSpec& spec);
  // NOT_FOUND. `with_details`: with the details of the latest evaluation, which may be large.
  absl::StatusOr<RunView> Get(const std::string& run_id, bool with_details = false);
  // At most `limit` completed rounds, from the number `first` on, without details of evaluations.
  absl::StatusOr<std::vector<RoundView>> Rounds(
      const std::string& run_id, int64_t first = 0,
      int64_t limit = std::numeric_limits<int64_t>::max());
  // Newest first; numbers below `before` (0: from the newest), at most `limit`.
  std::vector<RunView> List(int64_t before, int64_t limit);
  absl::StatusOr<RunView> Cancel(const std::string& run_id);
  // Takes back the run's tasks and leases no more; nothing if it is paused or has ended.
  absl::StatusOr<RunView> Pause(const std::string& run_id);
  // Goes on with a paused run and forgets the failures and losses of its tasks. FAILED_PRECONDITION
  // if its record is damaged.
  absl::StatusOr<RunView> Resume(const std::string& run_id);
  // Forgets a run that has ended, its weights too. FAILED_PRECONDITION if it has not, or if another
  // run waits for it. OK once that is recorded, also if its files can only be removed later.
  absl::Status Delete(const std::string& run_id);

  // Called when the run has changed while the listener lives, ten times a second at most, and at
  // once when it ends or pauses. NOT_FOUND.
  absl::Status Watch(const std::string& run_id, const std::shared_ptr<RunListener>& listener);
  // Tells those whose runs have changed.
  void TellListeners();
  // Those that live.
  std::vector<std::shared_ptr<RunListener>> listeners();

 private:
  // FAILED_PRECONDITION for what the spec depends on.
  absl::Status CheckNew(const RunSpec& spec);
  // Records a run whose folders are made, unless its request has made one meanwhile.
  absl::StatusOr<RunView> Add(RunRow row, RunSpec spec)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex());
  // What Delete does to the record and in memory.
  absl::Status Forget(const std::string& run_id);

  Ledger& ledger_;
  WeightsShelf& shelf_;
  std::multimap<std::string, std::weak_ptr<RunListener>> listeners_
      ABSL_GUARDED_BY(ledger_.mutex());
};

}  // namespace distillery
