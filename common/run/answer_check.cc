#include "common/run/answer_check.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/run/loss_names.h"
#include "common/soft_targets/encoding.h"

namespace distillery {
namespace {

// A demand that not all answers can meet.
struct Demand {
  const char* key;
  bool (*made)(const RunSpec& spec);
  bool (*met)(const AnswerSpec& answers);
  // "loss.label_smoothing" + " " + this.
  const char* refusal;
};

bool OfValues(const AnswerSpec& answers) { return answers.kind == AnswerKind::kValues; }

constexpr Demand kDemands[] = {
    {"loss.label_smoothing", [](const RunSpec& spec) { return spec.loss.label_smoothing > 0; },
     [](const AnswerSpec& answers) { return !OfValues(answers); },
     "must be 0: values have no classes to spread a label over"},
    {"soft_targets.encoding",
     [](const RunSpec& spec) { return IsTopK(spec.soft_targets.encoding); },
     [](const AnswerSpec& answers) { return answers.kind == AnswerKind::kClasses; },
     "top_k is for classes: take float32, float16 or int8"},
    {"guard.metric",
     [](const RunSpec& spec) {
       return spec.guarded() && spec.guard.metric != "mean_squared_error";
     },
     [](const AnswerSpec& answers) { return !OfValues(answers); },
     "must be mean_squared_error: values are neither right nor wrong"},
    {"guard.metric", [](const RunSpec& spec) { return spec.guard.metric == "mean_squared_error"; },
     &OfValues, "mean_squared_error is for values: take cross_entropy or accuracy"},
    {"dataset.exclude_classes",
     [](const RunSpec& spec) { return !spec.dataset.exclude_classes.empty(); },
     [](const AnswerSpec& answers) { return answers.one_class(); },
     "must be empty: it needs samples of one class each"},
    {"dataset.label_noise", [](const RunSpec& spec) { return spec.dataset.label_noise > 0; },
     [](const AnswerSpec& answers) { return answers.one_class(); },
     "must be 0: it needs samples of one class each"},
};

}  // namespace

absl::Status CheckFitsAnswers(const RunSpec& spec, const AnswerSpec& answers) {
  const SoftLoss loss = ParseSoftLoss(spec.loss.name).value_or(SoftLoss::kKd);
  if (absl::Status status = CheckLossFits(loss, answers.kind); !status.ok()) return status;
  for (const Demand& demand : kDemands) {
    if (!demand.made(spec) || demand.met(answers)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(demand.key, " ", demand.refusal, "; this data set's answers are ",
                     SpecOf(answers.kind).name, answers.positions.empty() ? "" : " at positions"));
  }
  return absl::OkStatus();
}

}  // namespace distillery
