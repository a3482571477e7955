// Names of the soft losses in RunSpecs; what they are: student_worker/training/distillation_loss.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace distillery {

enum class SoftLoss { kKd, kDkd, kLogitStandardized, kMse, kReverseKl, kJsd };

// "kd", "dkd", "logit_standardized", "mse", "reverse_kl", "jsd".
const std::vector<std::string>& SoftLossNames();
// Nothing for an unknown name; empty is kd.
std::optional<SoftLoss> ParseSoftLoss(const std::string& name);
// False for losses that need the logits of all classes.
bool TakesTopK(SoftLoss loss);

}  // namespace distillery
