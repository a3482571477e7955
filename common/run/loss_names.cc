#include "common/run/loss_names.h"

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

// "a", "a or b", "a, b or c".
std::string Choice(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
  }
  return text;
}

}  // namespace

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

absl::Status CheckLossFits(SoftLoss loss, AnswerKind kind) {
  if (Fits(loss, kind)) return absl::OkStatus();
  std::vector<std::string> kinds;
  for (const AnswerKindSpec& spec : kAnswerKinds) {
    if (Fits(loss, spec.kind)) kinds.emplace_back(spec.name);
  }
  std::vector<std::string> losses;
  for (const LossSpec& spec : kSoftLosses) {
    if (Fits(spec.loss, kind)) losses.emplace_back(spec.name);
  }
  return absl::InvalidArgumentError(absl::StrCat("loss.name ", SpecOf(loss).name, " needs ",
                                                 Choice(kinds), "; this data set's answers are ",
                                                 SpecOf(kind).name, ": use ", Choice(losses)));
}

}  // namespace distillery
