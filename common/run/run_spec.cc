#include "common/run/run_spec.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/data/augmentation.h"
#include "common/data/image.h"
#include "common/model/architecture_plan.h"
#include "common/run/loss_names.h"
#include "common/run/schedule.h"
#include "common/weights/broadcast_encoding.h"
#include "common/weights/delta_encoding.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// Collects the first error among checks that read like the rule they state.
class Checker {
 public:
  template <typename T>
  void Range(const char* path, T value, T low, T high) {
    if (!(value >= low && value <= high)) {
      Report(path, absl::StrCat("must be ", low, " to ", high, ", got ", value));
    }
  }
  void Positive(const char* path, double value) {
    if (!(value > 0 && std::isfinite(value))) {
      Report(path,
             absl::StrCat("must be > 0", std::isinf(value) ? " and finite" : "", ", got ", value));
    }
  }
  void NotNegative(const char* path, double value) {
    if (!(value >= 0 && std::isfinite(value))) {
      Report(path, absl::StrCat("must be >= 0, got ", value));
    }
  }
  // `what` explains the value.
  void BelowOne(const char* path, double value, const char* what = "") {
    if (!(value >= 0 && value < 1)) {
      Report(path, absl::StrCat("must be 0 to below 1", what, ", got ", value));
    }
  }
  void OptionalOneOf(const char* path, const std::string& value,
                     const std::vector<std::string>& known) {
    if (!value.empty()) OneOf(path, value, known);
  }
  void OneOf(const char* path, const std::string& value, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), value) == known.end()) {
      Report(path, absl::StrCat("has an ", UnknownName("value", value, known)));
    }
  }
  void Status(const char* path, const absl::Status& status) {
    if (!status.ok()) Report(path, absl::StrCat("is not valid: ", std::string(status.message())));
  }
  void Report(const char* path, const std::string& message) {
    if (error_.path.empty()) error_ = {path, absl::StrCat(path, " ", message)};
  }
  FieldError error() const { return error_; }

 private:
  FieldError error_;
};

bool IsDigest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Visits a RunSpec for what would be too large for the messages that carry it.
class SizeChecker {
 public:
  static constexpr size_t kLongestText = 4096;
  static constexpr size_t kMostClasses = 100'000;

  explicit SizeChecker(Checker* check) : check_(check) {}
  void Field(const char* name, const std::string& text) {
    const std::string path = prefix_ + name;
    if (text.size() > kLongestText) {
      check_->Report(path.c_str(), absl::StrCat("has ", text.size(), " bytes, at most ",
                                                kLongestText, " are taken"));
    }
    try {
      (void)nlohmann::json(text).dump();
    } catch (const nlohmann::json::type_error&) {
      check_->Report(path.c_str(), absl::StrCat("must be UTF-8, got \"", Printable(text), "\""));
    }
  }
  void Field(const char* name, const std::vector<int64_t>& list) {
    if (list.size() <= kMostClasses) return;
    check_->Report((prefix_ + name).c_str(), absl::StrCat("has ", list.size(), " entries, at most ",
                                                          kMostClasses, " are taken"));
  }
  void Field(const char* /*name*/, const std::vector<std::string>& /*list*/) {}
  void Field(const char* /*name*/, int64_t /*value*/) {}
  void Field(const char* /*name*/, double /*value*/) {}
  void Field(const char* /*name*/, bool /*value*/) {}
  template <typename Body>
  void Group(const char* name, Body body) {
    prefix_ = absl::StrCat(name, ".");
    body();
    prefix_.clear();
  }

 private:
  Checker* const check_;
  std::string prefix_;
};

// The used part of the labels, or nothing if the text is none.
std::optional<double> ParseLabels(const std::string& labels) {
  if (labels.empty() || labels == "all") return 1;
  if (labels == "none") return 0;
  double fraction = 0;
  if (absl::SimpleAtod(labels, &fraction) && fraction > 0 && fraction < 1) return fraction;
  return std::nullopt;
}

bool NeedsAllLabels(const RunSpec& spec) {
  const std::optional<SoftLoss> loss = ParseSoftLoss(spec.loss.name);
  return loss.has_value() && SpecOf(*loss).needs_all_labels;
}

void CheckLabels(const RunSpec& spec, Checker* check) {
  const std::optional<double> labelled = ParseLabels(spec.dataset.labels);
  if (!labelled.has_value()) {
    check->Report("dataset.labels",
                  absl::StrCat("must be all, none, or a part between 0 and 1 such as 0.1, got \"",
                               spec.dataset.labels, "\""));
  } else if (*labelled < 1 && NeedsAllLabels(spec)) {
    check->Report("dataset.labels", absl::StrCat("must be all for loss.name ", spec.loss.name,
                                                 ", which needs the target class"));
  } else if (*labelled == 0 && !spec.needs_teacher()) {
    check->Report("dataset.labels", "are none and loss.alpha is 0: there is nothing to learn from");
  }
  std::vector<int64_t> classes = spec.dataset.exclude_classes;
  std::sort(classes.begin(), classes.end());
  for (size_t i = 0; i < classes.size(); ++i) {
    check->Range<int64_t>("dataset.exclude_classes", classes[i], 0, 1'000'000);
    if (i > 0 && classes[i] == classes[i - 1]) {
      check->Report("dataset.exclude_classes", absl::StrCat("names class ", classes[i], " twice"));
    }
  }
  check->Range<double>("dataset.sample_fraction", spec.dataset.sample_fraction, 0, 1);
  check->Range<double>("dataset.label_noise", spec.dataset.label_noise, 0, 1);
}

void CheckLossSchedules(const RunSpec& spec, Checker* check) {
  check->OptionalOneOf("loss.alpha_schedule", spec.loss.alpha_schedule, KnownSchedules());
  check->OptionalOneOf("loss.temperature_schedule", spec.loss.temperature_schedule,
                       KnownSchedules());
  check->Range<double>("loss.alpha_end", spec.loss.alpha_end, 0, 1);
  check->BelowOne("loss.warm_up", spec.loss.warm_up, " (a part of the run)");
  if (spec.loss.alpha_end != 0 && !spec.alpha_changes()) {
    check->Report("loss.alpha_end", "needs loss.alpha_schedule: else it must be 0");
  }
  if (spec.temperature_changes()) {
    check->Positive("loss.temperature_end", spec.loss.temperature_end);
  } else if (spec.loss.temperature_end != 0) {
    check->Report("loss.temperature_end", "needs loss.temperature_schedule: else it must be 0");
  }
  if (spec.loss.warm_up > 0 && !spec.alpha_changes() && !spec.temperature_changes()) {
    check->Report("loss.warm_up", "needs loss.alpha_schedule or loss.temperature_schedule");
  }
  if (spec.temperature_changes() && IsTopK(spec.soft_targets.encoding)) {
    check->Report("loss.temperature_schedule",
                  "needs the logits of all classes: take another soft_targets.encoding than top_k");
  }
}

void CheckLoss(const RunSpec& spec, Checker* check) {
  check->OptionalOneOf("loss.name", spec.loss.name, SoftLossNames());
  check->Range<double>("loss.alpha", spec.loss.alpha, 0, 1);
  check->Positive("loss.temperature", spec.loss.temperature);
  check->BelowOne("loss.label_smoothing", spec.loss.label_smoothing);
  check->NotNegative("loss.dkd_alpha", spec.loss.dkd_alpha);
  check->NotNegative("loss.dkd_beta", spec.loss.dkd_beta);
  const bool weights = spec.loss.dkd_alpha > 0 || spec.loss.dkd_beta > 0;
  const SoftLoss loss = ParseSoftLoss(spec.loss.name).value_or(SoftLoss::kKd);
  if (loss == SoftLoss::kDkd && !weights) {
    check->Report("loss.dkd_alpha",
                  "and loss.dkd_beta are both 0; the paper takes dkd_alpha: 1, dkd_beta: 8");
  }
  if (loss != SoftLoss::kDkd && weights) {
    check->Report("loss.dkd_alpha", "and loss.dkd_beta are for loss.name dkd: else they must be 0");
  }
  if (!TakesTopK(loss) && IsTopK(spec.soft_targets.encoding)) {
    check->Report("loss.name", absl::StrCat(spec.loss.name,
                                            " needs the logits of all classes: take another "
                                            "soft_targets.encoding than top_k"));
  }
}

void CheckOptimizer(const RunSpec& spec, Checker* check) {
  check->OptionalOneOf("training.optimizer", spec.training.optimizer, {"sgd", "adamw"});
  check->BelowOne("training.warm_up", spec.training.warm_up, " (a part of the run)");
  if (spec.training.nesterov &&
      (spec.training.optimizer == "adamw" || spec.training.momentum == 0)) {
    check->Report("training.nesterov", "is for sgd with momentum");
  }
  check->NotNegative("training.max_gradient_norm", spec.training.max_gradient_norm);
  check->NotNegative("training.max_weight_norm", spec.training.max_weight_norm);
  check->OptionalOneOf("training.optimizer_state", spec.training.optimizer_state,
                       {"reset", "average"});
  if (spec.carries_optimizer_state() && spec.training.optimizer != "adamw" &&
      spec.training.momentum == 0) {
    check->Report("training.optimizer_state", "average needs adamw, or sgd with momentum");
  }
  check->OptionalOneOf("training.delta_encoding", spec.training.delta_encoding,
                       DeltaEncodingNames());
  check->OptionalOneOf("training.broadcast_encoding", spec.training.broadcast_encoding,
                       BroadcastEncodingNames());
  check->OptionalOneOf("training.precision", spec.training.precision, {"float32", "mixed"});
}

void CheckAveraging(const RunSpec& spec, Checker* check) {
  const auto& averaging = spec.averaging;
  check->OptionalOneOf("averaging.method", averaging.method, {"mean", "trimmed_mean", "median"});
  if (averaging.method == "trimmed_mean") {
    if (!(averaging.trim > 0 && averaging.trim < 0.5)) {
      check->Report("averaging.trim",
                    absl::StrCat("must be above 0 and below 0.5, got ", averaging.trim));
    }
  } else if (averaging.trim != 0) {
    check->Report("averaging.trim", "is for averaging.method trimmed_mean: else it must be 0");
  }
  check->NotNegative("averaging.clip_norm", averaging.clip_norm);
  if (averaging.max_norm_ratio != 0 &&
      !(averaging.max_norm_ratio > 1 && std::isfinite(averaging.max_norm_ratio))) {
    check->Report("averaging.max_norm_ratio",
                  absl::StrCat("must be 0 or above 1, got ", averaging.max_norm_ratio));
  }
  const auto& outer = spec.outer;
  check->OneOf("outer.optimizer", outer.optimizer, {"sgd", "momentum", "nesterov", "adam"});
  check->Positive("outer.learning_rate", outer.learning_rate);
  check->BelowOne("outer.momentum", outer.momentum);
  if (outer.optimizer == "sgd" && outer.momentum != 0) {
    check->Report("outer.momentum",
                  "is for outer.optimizer momentum, nesterov and adam; sgd takes none");
  }
  if (outer.optimizer == "adam") {
    if (!(outer.beta2 > 0 && outer.beta2 < 1 && outer.epsilon > 0 &&
          std::isfinite(outer.epsilon))) {
      check->Report("outer.beta2",
                    absl::StrCat("must be above 0 and below 1, and outer.epsilon "
                                 "above 0, for adam (the paper: 0.99 and 0.001), got ",
                                 outer.beta2, " and ", outer.epsilon));
    }
  } else if (outer.beta2 != 0 || outer.epsilon != 0) {
    check->Report("outer.beta2",
                  "and outer.epsilon are for outer.optimizer adam: else they must be 0");
  }
}

void CheckGuard(const RunSpec& spec, Checker* check) {
  const auto& guard = spec.guard;
  check->OptionalOneOf("guard.metric", guard.metric,
                       {"cross_entropy", "accuracy", "mean_squared_error"});
  check->OptionalOneOf("guard.split", guard.split, KnownSplits());
  check->Range<int64_t>("guard.patience", guard.patience, 0, 1'000'000);
  check->NotNegative("guard.min_improvement", guard.min_improvement);
  check->OptionalOneOf("guard.on_explosion", guard.on_explosion, {"stop", "roll_back"});
  if (guard.max_loss_ratio != 0 &&
      !(guard.max_loss_ratio > 1 && std::isfinite(guard.max_loss_ratio))) {
    check->Report("guard.max_loss_ratio",
                  absl::StrCat("must be 0 or above 1, got ", guard.max_loss_ratio));
  }
  if (!spec.guarded()) {
    for (const auto& [name, set] : {std::pair("guard.split", !guard.split.empty()),
                                    std::pair("guard.patience", guard.patience != 0),
                                    std::pair("guard.min_improvement", guard.min_improvement != 0),
                                    std::pair("guard.max_loss_ratio", guard.max_loss_ratio != 0),
                                    std::pair("guard.on_explosion", !guard.on_explosion.empty())}) {
      if (set)
        check->Report(name, "needs guard.metric: cross_entropy, accuracy or mean_squared_error");
    }
  } else if (spec.evaluation.every_rounds == 0) {
    check->Report("guard.metric", "needs evaluation.every_rounds above 0");
  }
}

void CheckSync(const RunSpec& spec, Checker* check) {
  constexpr double kLongestDeadline = 1e6;
  const auto& sync = spec.sync;
  check->OptionalOneOf("sync.mode", sync.mode, {"all", "quorum"});
  check->OptionalOneOf("sync.late_deltas", sync.late_deltas, {"drop", "weight"});
  check->Range<double>("sync.deadline_seconds", sync.deadline_seconds, 0, kLongestDeadline);
  if (spec.needs_quorum()) {
    check->Range<int64_t>("sync.quorum", sync.quorum, 1, spec.training.replicas);
    return;
  }
  for (const auto& [name, set] : {std::pair("sync.quorum", sync.quorum != 0),
                                  std::pair("sync.deadline_seconds", sync.deadline_seconds != 0),
                                  std::pair("sync.late_deltas", !sync.late_deltas.empty())}) {
    if (set) check->Report(name, "is for sync.mode quorum");
  }
}

void CheckScheduling(const RunSpec& spec, Checker* check) {
  constexpr int64_t kHighestPriority = 1000;
  constexpr size_t kMostDependencies = 100;
  const auto& scheduling = spec.scheduling;
  check->Range<int64_t>("scheduling.priority", scheduling.priority, 0, kHighestPriority);
  if (scheduling.depends_on.size() > kMostDependencies) {
    check->Report("scheduling.depends_on", absl::StrCat("names ", scheduling.depends_on.size(),
                                                        " runs, at most ", kMostDependencies));
  }
  for (const std::string& run : scheduling.depends_on) {
    check->Status("scheduling.depends_on", CheckName("scheduling.depends_on", run, 128));
  }
  if (scheduling.backup_after != 0 &&
      !(scheduling.backup_after > 1 && std::isfinite(scheduling.backup_after))) {
    check->Report("scheduling.backup_after",
                  absl::StrCat("must be 0 or above 1, got ", scheduling.backup_after));
  }
  if (!scheduling.sweep.empty()) {
    check->Status("scheduling.sweep", CheckName("scheduling.sweep", scheduling.sweep, 128));
  }
}

void CheckPicture(const RunSpec& spec, Checker* check) {
  const std::vector<int64_t>& picture = spec.student.picture;
  if (picture.empty()) return;
  if (picture.size() != 2) {
    check->Report("student.picture",
                  absl::StrCat("must be [height, width] or [], got ", picture.size(), " numbers"));
  }
  for (const int64_t side : picture) {
    check->Range<int64_t>("student.picture", side, 1, kMaxImageSide);
  }
}

// What is wrong with the values, whatever their size.
void CheckValues(const RunSpec& spec, Checker* check) {
  constexpr int64_t kLargestCount = 1'000'000;
  if (!CheckName("name", spec.name, 64).ok()) {
    check->Report("name", "must be 1 to 64 letters, digits, '-', '_' or '.'");
  }
  check->Status("dataset.name", CheckName("dataset.name", spec.dataset.name, 64));
  check->OneOf("dataset.train_split", spec.dataset.train_split, KnownSplits());
  check->OneOf("dataset.evaluation_split", spec.dataset.evaluation_split, KnownSplits());
  check->Range<int64_t>("dataset.shard_size", spec.dataset.shard_size, 1, 65536);
  check->Status("dataset.augmentation", Augmentation::Parse(spec.dataset.augmentation).status());
  check->Range<int64_t>("dataset.views", spec.dataset.views, 1, kLargestCount);
  if (!spec.teacher.digest.empty() && !IsDigest(spec.teacher.digest)) {
    check->Report("teacher.digest", "must be 64 hex digits");
  }
  const bool student_file = !spec.student.model.empty() || !spec.student.digest.empty();
  if (spec.student.architecture.empty() && !student_file) {
    check->Report("student.architecture", "is missing; for example mlp:64-32-10");
  }
  if (!spec.student.architecture.empty() && student_file) {
    check->Report("student.architecture", "and student.model exclude each other");
  }
  if (!spec.student.digest.empty() && !IsDigest(spec.student.digest)) {
    check->Report("student.digest", "must be 64 hex digits");
  }
  CheckPicture(spec, check);
  if (!spec.student.initial_weights_sha256.empty() &&
      !IsDigest(spec.student.initial_weights_sha256)) {
    check->Report("student.initial_weights_sha256", "must be 64 hex digits");
  }
  CheckLabels(spec, check);
  CheckLoss(spec, check);
  CheckLossSchedules(spec, check);
  check->OptionalOneOf("soft_targets.encoding", spec.soft_targets.encoding, EncodingNames());
  if (IsTopK(spec.soft_targets.encoding)) {
    check->Range<int64_t>("soft_targets.top_k", spec.soft_targets.top_k, 1, kLargestCount);
  } else if (spec.soft_targets.top_k != 0) {
    check->Report("soft_targets.top_k",
                  absl::StrCat("is for soft_targets.encoding top_k: else it must be 0, got ",
                               spec.soft_targets.top_k));
  }
  check->Range<int64_t>("training.rounds", spec.training.rounds, 1, kLargestCount);
  check->Range<int64_t>("training.replicas", spec.training.replicas, 1, 4096);
  check->Range<int64_t>("training.local_epochs", spec.training.local_epochs, 0, kLargestCount);
  check->Range<int64_t>("training.local_steps", spec.training.local_steps, 0, kLargestCount);
  if ((spec.training.local_epochs > 0) == (spec.training.local_steps > 0)) {
    check->Report(spec.training.local_steps > 0 ? "training.local_steps" : "training",
                  "needs exactly one of local_epochs and local_steps above 0");
  }
  check->Range<int64_t>("training.batch_size", spec.training.batch_size, 1, 65536);
  check->Positive("training.learning_rate", spec.training.learning_rate);
  check->OneOf("training.schedule", spec.training.schedule, KnownSchedules());
  CheckOptimizer(spec, check);
  check->BelowOne("training.momentum", spec.training.momentum);
  check->NotNegative("training.weight_decay", spec.training.weight_decay);
  CheckAveraging(spec, check);
  check->Range<int64_t>("evaluation.every_rounds", spec.evaluation.every_rounds, 0, kLargestCount);
  CheckGuard(spec, check);
  CheckSync(spec, check);
  CheckScheduling(spec, check);
  check->OneOf("numerics", spec.numerics, {"fastest", "portable"});
  check->Range<int64_t>("compute_threads", spec.compute_threads, 1, 1024);
}

}  // namespace

void PutOnesForZeros(RunSpec* spec) {
  if (spec->dataset.sample_fraction == 0) spec->dataset.sample_fraction = 1;
  if (spec->scheduling.priority == 0) spec->scheduling.priority = 1;
}

FieldError FindValueError(const RunSpec& spec) {
  Checker check;
  CheckValues(spec, &check);
  return check.error();
}

FieldError FindFieldError(const RunSpec& spec) {
  Checker check;
  SizeChecker sizes(&check);
  VisitRunSpec(sizes, spec);
  CheckValues(spec, &check);
  // A check of new runs alone: one on record whose architecture is of another version is its
  // own trouble, not that of the record.
  if (!spec.student_is_file()) {
    check.Status("student.architecture", CheckArchitecture(spec.student.architecture));
  }
  return check.error();
}

absl::Status ValidateRunSpec(const RunSpec& spec) {
  const FieldError error = FindFieldError(spec);
  return error.path.empty() ? absl::OkStatus() : absl::InvalidArgumentError(error.message);
}

double RunSpec::labelled_fraction() const { return ParseLabels(dataset.labels).value_or(1); }

SoftTargetFormat RunSpec::soft_target_format(AnswerKind answers) const {
  SoftTargetFormat format;
  const bool softened = answers != AnswerKind::kValues && !temperature_changes();
  format.temperature = softened ? loss.temperature : 1;
  format.encoding = ParseEncoding(soft_targets.encoding).value_or(Encoding::kFloat32);
  format.top_k = soft_targets.top_k;
  return format;
}

}  // namespace distillery
