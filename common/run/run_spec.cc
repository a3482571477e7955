#include "common/run/run_spec.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/data/augmentation.h"
#include "common/run/loss_names.h"
#include "common/run/schedule.h"
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
      Report(path, absl::StrCat("must be > 0", std::isinf(value) ? " and finite" : "", ", got ",
                                value));
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

class JsonWriter {
 public:
  template <typename T>
  void Field(const char* name, const T& value) {
    (*at_)[name] = value;
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    nlohmann::ordered_json* const outer = at_;
    at_ = &(*outer)[name];
    body();
    at_ = outer;
  }
  std::string Text() const { return root_.dump(); }

 private:
  nlohmann::ordered_json root_;
  nlohmann::ordered_json* at_ = &root_;
};

void CheckLoss(const RunSpec& spec, Checker* check) {
  if (!spec.loss.name.empty()) check->OneOf("loss.name", spec.loss.name, SoftLossNames());
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
    check->Report("loss.dkd_alpha",
                  "and loss.dkd_beta are for loss.name dkd: else they must be 0");
  }
  if (!TakesTopK(loss) && spec.soft_targets.encoding == EncodingName(Encoding::kTopK)) {
    check->Report("loss.name", absl::StrCat(spec.loss.name,
                                            " needs the logits of all classes: take another "
                                            "soft_targets.encoding than top_k"));
  }
}

void CheckOptimizer(const RunSpec& spec, Checker* check) {
  if (!spec.training.optimizer.empty()) {
    check->OneOf("training.optimizer", spec.training.optimizer, {"sgd", "adamw"});
  }
  check->BelowOne("training.warm_up", spec.training.warm_up, " (a part of the run)");
  if (spec.training.nesterov &&
      (spec.training.optimizer == "adamw" || spec.training.momentum == 0)) {
    check->Report("training.nesterov", "is for sgd with momentum");
  }
  check->NotNegative("training.max_gradient_norm", spec.training.max_gradient_norm);
}

}  // namespace

FieldError FindFieldError(const RunSpec& spec) {
  constexpr int64_t kLargestCount = 1'000'000;
  Checker check;
  if (!CheckName("name", spec.name, 64).ok()) {
    check.Report("name", "must be 1 to 64 letters, digits, '-', '_' or '.'");
  }
  check.Status("dataset.name", CheckName("dataset.name", spec.dataset.name, 64));
  check.OneOf("dataset.train_split", spec.dataset.train_split, KnownSplits());
  check.OneOf("dataset.evaluation_split", spec.dataset.evaluation_split, KnownSplits());
  check.Range<int64_t>("dataset.shard_size", spec.dataset.shard_size, 1, 65536);
  check.Status("dataset.augmentation", Augmentation::Parse(spec.dataset.augmentation).status());
  check.Range<int64_t>("dataset.views", spec.dataset.views, 1, kLargestCount);
  if (!spec.teacher.digest.empty() && !IsDigest(spec.teacher.digest)) {
    check.Report("teacher.digest", "must be 64 hex digits");
  }
  const bool student_file = !spec.student.model.empty() || !spec.student.digest.empty();
  if (spec.student.architecture.empty() && !student_file) {
    check.Report("student.architecture", "is missing; for example mlp:64-32-10");
  }
  if (!spec.student.architecture.empty() && student_file) {
    check.Report("student.architecture", "and student.model exclude each other");
  }
  if (!spec.student.digest.empty() && !IsDigest(spec.student.digest)) {
    check.Report("student.digest", "must be 64 hex digits");
  }
  CheckLoss(spec, &check);
  if (!spec.soft_targets.encoding.empty()) {
    check.OneOf("soft_targets.encoding", spec.soft_targets.encoding, EncodingNames());
  }
  if (spec.soft_targets.encoding == EncodingName(Encoding::kTopK)) {
    check.Range<int64_t>("soft_targets.top_k", spec.soft_targets.top_k, 1, kLargestCount);
  } else if (spec.soft_targets.top_k != 0) {
    check.Report("soft_targets.top_k",
                 absl::StrCat("is for soft_targets.encoding top_k: else it must be 0, got ",
                              spec.soft_targets.top_k));
  }
  check.Range<int64_t>("training.rounds", spec.training.rounds, 1, kLargestCount);
  check.Range<int64_t>("training.replicas", spec.training.replicas, 1, 4096);
  check.Range<int64_t>("training.local_epochs", spec.training.local_epochs, 0, kLargestCount);
  check.Range<int64_t>("training.local_steps", spec.training.local_steps, 0, kLargestCount);
  if ((spec.training.local_epochs > 0) == (spec.training.local_steps > 0)) {
    check.Report(spec.training.local_steps > 0 ? "training.local_steps" : "training",
                 "needs exactly one of local_epochs and local_steps above 0");
  }
  check.Range<int64_t>("training.batch_size", spec.training.batch_size, 1, 65536);
  check.Positive("training.learning_rate", spec.training.learning_rate);
  check.OneOf("training.schedule", spec.training.schedule, KnownSchedules());
  CheckOptimizer(spec, &check);
  check.BelowOne("training.momentum", spec.training.momentum);
  check.NotNegative("training.weight_decay", spec.training.weight_decay);
  check.OneOf("outer.optimizer", spec.outer.optimizer, {"sgd", "nesterov"});
  check.Positive("outer.learning_rate", spec.outer.learning_rate);
  check.BelowOne("outer.momentum", spec.outer.momentum);
  if (spec.outer.optimizer == "sgd" && spec.outer.momentum != 0) {
    check.Report("outer.momentum", "is for outer.optimizer nesterov; sgd takes none");
  }
  check.Range<int64_t>("evaluation.every_rounds", spec.evaluation.every_rounds, 0, kLargestCount);
  check.OneOf("numerics", spec.numerics, {"fastest", "portable"});
  check.Range<int64_t>("compute_threads", spec.compute_threads, 1, 1024);
  return check.error();
}

absl::Status ValidateRunSpec(const RunSpec& spec) {
  const FieldError error = FindFieldError(spec);
  return error.path.empty() ? absl::OkStatus() : absl::InvalidArgumentError(error.message);
}

SoftTargetFormat RunSpec::soft_target_format() const {
  SoftTargetFormat format;
  format.temperature = loss.temperature;
  format.encoding = ParseEncoding(soft_targets.encoding).value_or(Encoding::kFloat32);
  format.top_k = soft_targets.top_k;
  return format;
}

std::string RunSpecToJson(const RunSpec& spec) {
  JsonWriter writer;
  VisitRunSpec(writer, spec);
  return writer.Text();
}

}  // namespace distillery
