#include "common/run/loss_names.h"

namespace distillery {

const std::vector<std::string>& SoftLossNames() {
  static const auto* const names = [] {
    auto* const all = new std::vector<std::string>();
    for (const LossSpec& spec : kSoftLosses) all->emplace_back(spec.name);
    return all;
  }();
  return *names;
}

std::optional<SoftLoss> ParseSoftLoss(const std::string& name) {
  if (name.empty()) return SoftLoss::kKd;
  for (const LossSpec& spec : kSoftLosses) {
    if (name == spec.name) return spec.loss;
  }
  return std::nullopt;
}

}  // namespace distillery
