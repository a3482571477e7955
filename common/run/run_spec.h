// RunSpec: everything that decides a run's final weights. The names of its fields are the same in
// the YAML file, here and in coordinator_service.proto, whose comments give units and meaning.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/soft_targets/format.h"

namespace distillery {

struct RunSpec {
  std::string name = "run";
  int64_t seed = 1;
  struct {
    std::string name = "digits";
    std::string train_split = "train";
    std::string evaluation_split = "test";
    int64_t shard_size = 128;
    std::string augmentation = "none";
    int64_t views = 1;
    // "all", "none", or the fraction of samples whose label is used, such as "0.1".
    std::string labels = "all";
    std::vector<int64_t> exclude_classes;
    // 0 stands for 1.
    double sample_fraction = 1;
    double label_noise = 0;
  } dataset;
  struct {
    std::string model;
    std::string digest;
  } teacher;
  struct {
    std::string architecture;
    std::string model;
    std::string digest;
    // A file, where the run is submitted; the coordinator and the workers go by the SHA-256.
    std::string initial_weights;
    std::string initial_weights_sha256;
  } student;
  struct {
    std::string name = "kd";
    double alpha = 0.9;
    double temperature = 4;
    double label_smoothing = 0;
    // For name dkd, else 0.
    double dkd_alpha = 0;
    double dkd_beta = 0;
    // Empty: no schedule, and the end is 0.
    std::string alpha_schedule;
    double alpha_end = 0;
    std::string temperature_schedule;
    double temperature_end = 0;
    double warm_up = 0;
  } loss;
  struct {
    std::string encoding = "float32";
    int64_t top_k = 0;
  } soft_targets;
  struct {
    int64_t rounds = 10;
    int64_t replicas = 1;
    // Exactly one of the two is above 0.
    int64_t local_epochs = 0;
    int64_t local_steps = 0;
    int64_t batch_size = 64;
    std::string optimizer = "sgd";
    double learning_rate = 0.05;
    std::string schedule = "constant";
    double warm_up = 0;
    double momentum = 0.9;
    bool nesterov = false;
    double weight_decay = 0;
    double max_gradient_norm = 0;
    double max_weight_norm = 0;
    std::string optimizer_state = "reset";
    std::string delta_encoding = "float32";
    std::string precision = "float32";
    std::string broadcast_encoding = "float32";
  } training;
  struct {
    std::string method = "mean";
    // For trimmed_mean, else 0.
    double trim = 0;
    double clip_norm = 0;
    double max_norm_ratio = 0;
  } averaging;
  struct {
    std::string optimizer = "sgd";
    double learning_rate = 1;
    double momentum = 0;
    // For adam, else 0.
    double beta2 = 0;
    double epsilon = 0;
  } outer;
  struct {
    int64_t every_rounds = 1;
  } evaluation;
  struct {
    // "cross_entropy" or "accuracy" of the held-out split; empty: no guard.
    std::string metric;
    // Empty: the evaluation split.
    std::string split;
    int64_t patience = 0;
    double min_improvement = 0;
    double max_loss_ratio = 0;
    // "stop" (when empty) or "roll_back".
    std::string on_explosion;
  } guard;
  struct {
    // "all" (when empty) or "quorum".
    std::string mode;
    // For quorum, else 0.
    int64_t quorum = 0;
    double deadline_seconds = 0;
    // "drop" (when empty) or "weight".
    std::string late_deltas;
  } sync;
  // None of these changes the weights.
  struct {
    // 0 stands for 1.
    int64_t priority = 1;
    std::vector<std::string> depends_on;
    double backup_after = 4;
    std::string sweep;
  } scheduling;
  std::string numerics = "fastest";
  int64_t compute_threads = 1;
  bool exact = false;

  DatasetReference TrainingData() const {
    return {dataset.name, dataset.train_split, dataset.shard_size};
  }
  DatasetReference EvaluationData() const {
    return {dataset.name, dataset.evaluation_split, dataset.shard_size};
  }
  // What the guard evaluates on. REQUIRES: guarded().
  DatasetReference HeldOutData() const {
    return {dataset.name, guard.split.empty() ? dataset.evaluation_split : guard.split,
            dataset.shard_size};
  }
  bool guarded() const { return !guard.metric.empty(); }
  bool needs_quorum() const { return sync.mode == "quorum"; }
  bool needs_teacher() const { return loss.alpha > 0 || loss.alpha_end > 0; }
  // Alpha, and T, change in the course of the run.
  bool alpha_changes() const { return !loss.alpha_schedule.empty(); }
  bool temperature_changes() const { return !loss.temperature_schedule.empty(); }
  // The part of the samples whose labels are used, 0 to 1. REQUIRES: a valid spec.
  double labelled_fraction() const;
  bool carries_optimizer_state() const { return training.optimizer_state == "average"; }
  // What training asks a teacher for: logits at T, or at 1 if T changes, so that what the teacher
  // sends and caches does not. REQUIRES: a valid spec.
  SoftTargetFormat soft_target_format() const;
  // The student is a TorchScript file that the workers hold, not a built-in architecture.
  bool student_is_file() const { return student.architecture.empty(); }
  // True if W_round is to be evaluated.
  bool EvaluatesAt(int64_t round) const {
    return round == training.rounds ||
           (evaluation.every_rounds > 0 && round > 0 && round % evaluation.every_rounds == 0);
  }
};

// Shows each field to `visitor` in order, with groups as they are nested:
//   visitor.Group("loss", [&] { visitor.Field("alpha", spec.loss.alpha); ... })
// Every reader and writer of RunSpecs is such a visitor, so that none can forget a field.
template <typename Visitor, typename Spec>
void VisitRunSpec(Visitor& v, Spec& s) {
  v.Field("name", s.name);
  v.Field("seed", s.seed);
  v.Group("dataset", [&] {
    v.Field("name", s.dataset.name);
    v.Field("train_split", s.dataset.train_split);
    v.Field("evaluation_split", s.dataset.evaluation_split);
    v.Field("shard_size", s.dataset.shard_size);
    v.Field("augmentation", s.dataset.augmentation);
    v.Field("views", s.dataset.views);
    v.Field("labels", s.dataset.labels);
    v.Field("exclude_classes", s.dataset.exclude_classes);
    v.Field("sample_fraction", s.dataset.sample_fraction);
    v.Field("label_noise", s.dataset.label_noise);
  });
  v.Group("teacher", [&] {
    v.Field("model", s.teacher.model);
    v.Field("digest", s.teacher.digest);
  });
  v.Group("student", [&] {
    v.Field("architecture", s.student.architecture);
    v.Field("model", s.student.model);
    v.Field("digest", s.student.digest);
    v.Field("initial_weights", s.student.initial_weights);
    v.Field("initial_weights_sha256", s.student.initial_weights_sha256);
  });
  v.Group("loss", [&] {
    v.Field("name", s.loss.name);
    v.Field("alpha", s.loss.alpha);
    v.Field("temperature", s.loss.temperature);
    v.Field("label_smoothing", s.loss.label_smoothing);
    v.Field("dkd_alpha", s.loss.dkd_alpha);
    v.Field("dkd_beta", s.loss.dkd_beta);
    v.Field("alpha_schedule", s.loss.alpha_schedule);
    v.Field("alpha_end", s.loss.alpha_end);
    v.Field("temperature_schedule", s.loss.temperature_schedule);
    v.Field("temperature_end", s.loss.temperature_end);
    v.Field("warm_up", s.loss.warm_up);
  });
  v.Group("soft_targets", [&] {
    v.Field("encoding", s.soft_targets.encoding);
    v.Field("top_k", s.soft_targets.top_k);
  });
  v.Group("training", [&] {
    v.Field("rounds", s.training.rounds);
    v.Field("replicas", s.training.replicas);
    v.Field("local_epochs", s.training.local_epochs);
    v.Field("local_steps", s.training.local_steps);
    v.Field("batch_size", s.training.batch_size);
    v.Field("optimizer", s.training.optimizer);
    v.Field("learning_rate", s.training.learning_rate);
    v.Field("schedule", s.training.schedule);
    v.Field("warm_up", s.training.warm_up);
    v.Field("momentum", s.training.momentum);
    v.Field("nesterov", s.training.nesterov);
    v.Field("weight_decay", s.training.weight_decay);
    v.Field("max_gradient_norm", s.training.max_gradient_norm);
    v.Field("max_weight_norm", s.training.max_weight_norm);
    v.Field("optimizer_state", s.training.optimizer_state);
    v.Field("delta_encoding", s.training.delta_encoding);
    v.Field("precision", s.training.precision);
    v.Field("broadcast_encoding", s.training.broadcast_encoding);
  });
  v.Group("averaging", [&] {
    v.Field("method", s.averaging.method);
    v.Field("trim", s.averaging.trim);
    v.Field("clip_norm", s.averaging.clip_norm);
    v.Field("max_norm_ratio", s.averaging.max_norm_ratio);
  });
  v.Group("outer", [&] {
    v.Field("optimizer", s.outer.optimizer);
    v.Field("learning_rate", s.outer.learning_rate);
    v.Field("momentum", s.outer.momentum);
    v.Field("beta2", s.outer.beta2);
    v.Field("epsilon", s.outer.epsilon);
  });
  v.Group("evaluation", [&] { v.Field("every_rounds", s.evaluation.every_rounds); });
  v.Group("guard", [&] {
    v.Field("metric", s.guard.metric);
    v.Field("split", s.guard.split);
    v.Field("patience", s.guard.patience);
    v.Field("min_improvement", s.guard.min_improvement);
    v.Field("max_loss_ratio", s.guard.max_loss_ratio);
    v.Field("on_explosion", s.guard.on_explosion);
  });
  v.Group("sync", [&] {
    v.Field("mode", s.sync.mode);
    v.Field("quorum", s.sync.quorum);
    v.Field("deadline_seconds", s.sync.deadline_seconds);
    v.Field("late_deltas", s.sync.late_deltas);
  });
  v.Group("scheduling", [&] {
    v.Field("priority", s.scheduling.priority);
    v.Field("depends_on", s.scheduling.depends_on);
    v.Field("backup_after", s.scheduling.backup_after);
    v.Field("sweep", s.scheduling.sweep);
  });
  v.Field("numerics", s.numerics);
  v.Field("compute_threads", s.compute_threads);
  v.Field("exact", s.exact);
}

// What is wrong with a field: its path, such as "loss.temperature", and a whole sentence about it.
struct FieldError {
  std::string path;
  std::string message;
};

// The first field that is out of range; `path` is empty if none is.
FieldError FindFieldError(const RunSpec& spec);
// The same as INVALID_ARGUMENT "loss.temperature must be > 0, got -1".
absl::Status ValidateRunSpec(const RunSpec& spec);

// Reads YAML (or JSON, which is YAML). INVALID_ARGUMENT "FILE:LINE: ..." for what does not parse,
// an unknown key (with the nearest known one), a wrong type or a value out of range. `file_name` is
// used in messages alone.
absl::StatusOr<RunSpec> ParseRunSpec(const std::string& yaml, const std::string& file_name);
absl::StatusOr<RunSpec> ReadRunSpec(const std::string& path);

// One line of JSON that both RunSpecFromJson and ParseRunSpec read back to the same spec. REQUIRES:
// the spec's texts are UTF-8, as those of a valid spec are.
std::string RunSpecToJson(const RunSpec& spec);
// Reads what RunSpecToJson of this or an older version wrote, much faster than as YAML. Sets no
// limit to its size, since it was accepted once. INVALID_ARGUMENT names what cannot be read.
absl::StatusOr<RunSpec> RunSpecFromJson(const std::string& json);

}  // namespace distillery
