// The guard of a run: what the evaluations of its held-out split say of it.
//
// A pure function of the spec and the evaluations, so that a coordinator that was restarted decides
// as the one before did.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "common/run/evaluation_metrics.h"
#include "common/run/run_spec.h"

namespace distillery {

struct GuardVerdict {
  enum class Action {
    kGoOn,
    // No better value for guard.patience evaluations: done, with the best weights.
    kStop,
    // The loss exploded: failed, with the best weights.
    kFail,
    // The loss exploded: go on from the best weights.
    kRollBack,
  };
  Action action = Action::kGoOn;
  // Rounds completed at the best evaluation; 0 if there is none.
  int64_t best_round = 0;
  // For people; empty to go on.
  std::string reason;
};

// What to do after the newest of `evaluations` (by the number of rounds completed).
// REQUIRES: spec.guarded().
GuardVerdict JudgeRun(const RunSpec& spec, const std::map<int64_t, EvaluationMetrics>& evaluations);

}  // namespace distillery
