#include "common/run/loss_names.h"

#include <algorithm>

namespace distillery {

const std::vector<std::string>& SoftLossNames() {
  // In the order of SoftLoss.
  static const auto* const names =
      new std::vector<std::string>{"kd", "dkd", "logit_standardized", "mse", "reverse_kl", "jsd"};
  return *names;
}

std::optional<SoftLoss> ParseSoftLoss(const std::string& name) {
  if (name.empty()) return SoftLoss::kKd;
  const std::vector<std::string>& names = SoftLossNames();
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) return std::nullopt;
  return static_cast<SoftLoss>(it - names.begin());
}

bool TakesTopK(SoftLoss loss) {
  return loss == SoftLoss::kKd || loss == SoftLoss::kReverseKl || loss == SoftLoss::kJsd;
}

}  // namespace distillery
