// The soft losses of RunSpecs, a row each; what they are: student_worker/training/
// distillation_loss.h, whose table of terms goes with this one.
#pragma once

#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/data/sample_spec.h"

namespace distillery {

enum class SoftLoss { kKd, kDkd, kLogitStandardized, kMse, kReverseKl, kJsd, kSmoothL1, kCosine };
inline constexpr int kSoftLossCount = static_cast<int>(SoftLoss::kCosine) + 1;

// Kinds of answers, a bit each.
using AnswerKinds = unsigned;
constexpr AnswerKinds Only(AnswerKind kind) { return 1U << static_cast<unsigned>(kind); }
inline constexpr AnswerKinds kDistributions =
    Only(AnswerKind::kClasses) | Only(AnswerKind::kMultilabel);

struct LossSpec {
  SoftLoss loss;
  const char* name;
  // What it can compare.
  AnswerKinds fits;
  // False: it needs the logits of all classes.
  bool takes_top_k;
  // It needs the target class of each sample.
  bool needs_all_labels;
  // Its term is weighted by T^2, which keeps its gradient at one scale for all T.
  bool scales_with_t2;
};

// In the order of the enum.
inline constexpr LossSpec kSoftLosses[] = {
    {SoftLoss::kKd, "kd", kDistributions, true, false, true},
    {SoftLoss::kDkd, "dkd", Only(AnswerKind::kClasses), false, true, true},
    {SoftLoss::kLogitStandardized, "logit_standardized", Only(AnswerKind::kClasses), false, false,
     true},
    {SoftLoss::kMse, "mse", kDistributions | Only(AnswerKind::kValues), false, false, false},
    {SoftLoss::kReverseKl, "reverse_kl", kDistributions, true, false, true},
    {SoftLoss::kJsd, "jsd", kDistributions, true, false, true},
    {SoftLoss::kSmoothL1, "smooth_l1", Only(AnswerKind::kValues), false, false, false},
    {SoftLoss::kCosine, "cosine", Only(AnswerKind::kValues), false, false, false},
};
static_assert(std::size(kSoftLosses) == kSoftLossCount);

constexpr const LossSpec& SpecOf(SoftLoss loss) { return kSoftLosses[static_cast<int>(loss)]; }

// "kd", "dkd", "logit_standardized", "mse", "reverse_kl", "jsd", "smooth_l1", "cosine".
const std::vector<std::string>& SoftLossNames();
// Nothing for an unknown name; empty is kd.
std::optional<SoftLoss> ParseSoftLoss(const std::string& name);
inline bool TakesTopK(SoftLoss loss) { return SpecOf(loss).takes_top_k; }
constexpr bool Fits(SoftLoss loss, AnswerKind kind) {
  return (SpecOf(loss).fits & Only(kind)) != 0;
}

// INVALID_ARGUMENT, naming loss.name and the losses that fit, for a loss that cannot compare
// answers of this kind.
absl::Status CheckLossFits(SoftLoss loss, AnswerKind kind);

}  // namespace distillery
