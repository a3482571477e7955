// What came of a lease: each outcome once, with its name in the record, in messages and in metrics.
#pragma once

#include "absl/strings/string_view.h"

namespace distillery {

enum class LeaseOutcome {
  kActive,
  kDone,
  // By its deadline.
  kExpired,
  // The worker went on renewing it, without progress.
  kStalled,
  // The worker stopped.
  kReleased,
  kFailed,
  // The worker asked for another task.
  kAbandoned,
  // Another worker was faster.
  kSuperseded,
  // A quorum ended the round.
  kLate,
  kPaused,
  kCancelled,
  // A repair took the row out: nobody knows.
  kDamaged,
};

struct LeaseOutcomeSpec {
  LeaseOutcome outcome;
  absl::string_view name;
  // The worker gave no result, and it was its own doing or fate.
  bool fruitless;
  // Nothing was heard of the work.
  bool lost;
};

// In the order of the enum.
inline constexpr LeaseOutcomeSpec kLeaseOutcomes[] = {
    {LeaseOutcome::kActive, "active", false, false},
    {LeaseOutcome::kDone, "done", false, false},
    {LeaseOutcome::kExpired, "expired", true, true},
    {LeaseOutcome::kStalled, "stalled", true, true},
    {LeaseOutcome::kReleased, "released", true, false},
    {LeaseOutcome::kFailed, "failed", false, false},
    {LeaseOutcome::kAbandoned, "abandoned", true, false},
    {LeaseOutcome::kSuperseded, "superseded", false, false},
    {LeaseOutcome::kLate, "late", false, false},
    {LeaseOutcome::kPaused, "paused", false, false},
    {LeaseOutcome::kCancelled, "cancelled", false, false},
    {LeaseOutcome::kDamaged, "damaged", false, false},
};

constexpr const LeaseOutcomeSpec& SpecOf(LeaseOutcome outcome) {
  return kLeaseOutcomes[static_cast<int>(outcome)];
}

// kDamaged for a name that is none.
constexpr LeaseOutcome LeaseOutcomeNamed(absl::string_view name) {
  for (const LeaseOutcomeSpec& spec : kLeaseOutcomes) {
    if (spec.name == name) return spec.outcome;
  }
  return LeaseOutcome::kDamaged;
}

}  // namespace distillery
