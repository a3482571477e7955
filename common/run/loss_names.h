// The soft losses of RunSpecs, a row each; what they are: student_worker/training/
// distillation_loss.h, whose table of terms goes with this one.
#pragma once

#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace distillery {

enum class SoftLoss { kKd, kDkd, kLogitStandardized, kMse, kReverseKl, kJsd };
inline constexpr int kSoftLossCount = static_cast<int>(SoftLoss::kJsd) + 1;

struct LossSpec {
  SoftLoss loss;
  const char* name;
  // False: it needs the logits of all classes.
  bool takes_top_k;
  // It needs the target class of each sample.
  bool needs_all_labels;
  // Its term is weighted by T^2, which keeps its gradient at one scale for all T.
  bool scales_with_t2;
};

// In the order of the enum.
inline constexpr LossSpec kSoftLosses[] = {
    {SoftLoss::kKd, "kd", true, false, true},
    {SoftLoss::kDkd, "dkd", false, true, true},
    {SoftLoss::kLogitStandardized, "logit_standardized", false, false, true},
    {SoftLoss::kMse, "mse", false, false, false},
    {SoftLoss::kReverseKl, "reverse_kl", true, false, true},
    {SoftLoss::kJsd, "jsd", true, false, true},
};
static_assert(std::size(kSoftLosses) == kSoftLossCount);

constexpr const LossSpec& SpecOf(SoftLoss loss) { return kSoftLosses[static_cast<int>(loss)]; }

// "kd", "dkd", "logit_standardized", "mse", "reverse_kl", "jsd".
const std::vector<std::string>& SoftLossNames();
// Nothing for an unknown name; empty is kd.
std::optional<SoftLoss> ParseSoftLoss(const std::string& name);
inline bool TakesTopK(SoftLoss loss) { return SpecOf(loss).takes_top_k; }

}  // namespace distillery
