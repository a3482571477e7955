// RunSpec: everything that decides a run's final weights. The names of its fields are the same in
// the YAML file, here and in run_spec.proto, whose comments give units and meaning.
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
    // What exclude_classes of a YAML file names. ResolveClassNames (run_data.h) turns it into
    // numbers before the run begins: no record and no message has it.
    std::vector<std::string> exclude_class_names;
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
    // Height and width of the pictures that it takes; empty: those of the data.
    std::vector<int64_t> picture;
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
    // "cross_entropy", "accuracy" or "mean_squared_error" of the held-out split; empty: no guard.
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
  // sends and caches does not; values, which T does not soften, at 1. REQUIRES: a valid spec.
  SoftTargetFormat soft_target_format(AnswerKind answers = AnswerKind::kClasses) const;
  // The student is a TorchScript file that the workers hold, not a built-in architecture.
  bool student_is_file() const { return student.architecture.empty(); }
  // True if W_round is to be evaluated.
  bool EvaluatesAt(int64_t round) const {
    return round == training.rounds ||
           (evaluation.every_rounds > 0 && round > 0 && round % evaluation.every_rounds == 0);
  }
};

// The fields of a section, in order; see VisitRunSpec.
template <typename Visitor, typename Section>
void VisitDataset(Visitor& v, Section& s) {
  v.Field("name", s.name);
  v.Field("train_split", s.train_split);
  v.Field("evaluation_split", s.evaluation_split);
  v.Field("shard_size", s.shard_size);
  v.Field("augmentation", s.augmentation);
  v.Field("views", s.views);
  v.Field("labels", s.labels);
  v.Field("exclude_classes", s.exclude_classes);
  v.Field("sample_fraction", s.sample_fraction);
  v.Field("label_noise", s.label_noise);
}
template <typename Visitor, typename Section>
void VisitTeacher(Visitor& v, Section& s) {
  v.Field("model", s.model);
  v.Field("digest", s.digest);
}
template <typename Visitor, typename Section>
void VisitStudent(Visitor& v, Section& s) {
  v.Field("architecture", s.architecture);
  v.Field("model", s.model);
  v.Field("digest", s.digest);
  v.Field("picture", s.picture);
  v.Field("initial_weights", s.initial_weights);
  v.Field("initial_weights_sha256", s.initial_weights_sha256);
}
template <typename Visitor, typename Section>
void VisitLoss(Visitor& v, Section& s) {
  v.Field("name", s.name);
  v.Field("alpha", s.alpha);
  v.Field("temperature", s.temperature);
  v.Field("label_smoothing", s.label_smoothing);
  v.Field("dkd_alpha", s.dkd_alpha);
  v.Field("dkd_beta", s.dkd_beta);
  v.Field("alpha_schedule", s.alpha_schedule);
  v.Field("alpha_end", s.alpha_end);
  v.Field("temperature_schedule", s.temperature_schedule);
  v.Field("temperature_end", s.temperature_end);
  v.Field("warm_up", s.warm_up);
}
template <typename Visitor, typename Section>
void VisitSoftTargets(Visitor& v, Section& s) {
  v.Field("encoding", s.encoding);
  v.Field("top_k", s.top_k);
}
template <typename Visitor, typename Section>
void VisitTraining(Visitor& v, Section& s) {
  v.Field("rounds", s.rounds);
  v.Field("replicas", s.replicas);
  v.Field("local_epochs", s.local_epochs);
  v.Field("local_steps", s.local_steps);
  v.Field("batch_size", s.batch_size);
  v.Field("optimizer", s.optimizer);
  v.Field("learning_rate", s.learning_rate);
  v.Field("schedule", s.schedule);
  v.Field("warm_up", s.warm_up);
  v.Field("momentum", s.momentum);
  v.Field("nesterov", s.nesterov);
  v.Field("weight_decay", s.weight_decay);
  v.Field("max_gradient_norm", s.max_gradient_norm);
  v.Field("max_weight_norm", s.max_weight_norm);
  v.Field("optimizer_state", s.optimizer_state);
  v.Field("delta_encoding", s.delta_encoding);
  v.Field("precision", s.precision);
  v.Field("broadcast_encoding", s.broadcast_encoding);
}
template <typename Visitor, typename Section>
void VisitAveraging(Visitor& v, Section& s) {
  v.Field("method", s.method);
  v.Field("trim", s.trim);
  v.Field("clip_norm", s.clip_norm);
  v.Field("max_norm_ratio", s.max_norm_ratio);
}
template <typename Visitor, typename Section>
void VisitOuter(Visitor& v, Section& s) {
  v.Field("optimizer", s.optimizer);
  v.Field("learning_rate", s.learning_rate);
  v.Field("momentum", s.momentum);
  v.Field("beta2", s.beta2);
  v.Field("epsilon", s.epsilon);
}
template <typename Visitor, typename Section>
void VisitGuard(Visitor& v, Section& s) {
  v.Field("metric", s.metric);
  v.Field("split", s.split);
  v.Field("patience", s.patience);
  v.Field("min_improvement", s.min_improvement);
  v.Field("max_loss_ratio", s.max_loss_ratio);
  v.Field("on_explosion", s.on_explosion);
}
template <typename Visitor, typename Section>
void VisitSync(Visitor& v, Section& s) {
  v.Field("mode", s.mode);
  v.Field("quorum", s.quorum);
  v.Field("deadline_seconds", s.deadline_seconds);
  v.Field("late_deltas", s.late_deltas);
}
template <typename Visitor, typename Section>
void VisitScheduling(Visitor& v, Section& s) {
  v.Field("priority", s.priority);
  v.Field("depends_on", s.depends_on);
  v.Field("backup_after", s.backup_after);
  v.Field("sweep", s.sweep);
}

// Shows each field to `visitor` in order, with groups as they are nested:
//   visitor.Group("loss", [&] { visitor.Field("alpha", spec.loss.alpha); ... })
// Every reader and writer of RunSpecs is such a visitor, so that none can forget a field.
template <typename Visitor, typename Spec>
void VisitRunSpec(Visitor& v, Spec& s) {
  v.Field("name", s.name);
  v.Field("seed", s.seed);
  v.Group("dataset", [&] { VisitDataset(v, s.dataset); });
  v.Group("teacher", [&] { VisitTeacher(v, s.teacher); });
  v.Group("student", [&] { VisitStudent(v, s.student); });
  v.Group("loss", [&] { VisitLoss(v, s.loss); });
  v.Group("soft_targets", [&] { VisitSoftTargets(v, s.soft_targets); });
  v.Group("training", [&] { VisitTraining(v, s.training); });
  v.Group("averaging", [&] { VisitAveraging(v, s.averaging); });
  v.Group("outer", [&] { VisitOuter(v, s.outer); });
  v.Group("evaluation", [&] { v.Field("every_rounds", s.evaluation.every_rounds); });
  v.Group("guard", [&] { VisitGuard(v, s.guard); });
  v.Group("sync", [&] { VisitSync(v, s.sync); });
  v.Group("scheduling", [&] { VisitScheduling(v, s.scheduling); });
  v.Field("numerics", s.numerics);
  v.Field("compute_threads", s.compute_threads);
  v.Field("exact", s.exact);
}

// Puts 1 where 0 stands for it, as in messages of proto3. Readers of messages and of records do so
// last. Readers of YAML do not: a zero in a file stays as it is, since the request id of a run is a
// digest of its spec.
void PutOnesForZeros(RunSpec* spec);

// What is wrong with a field: its path, such as "loss.temperature", and a whole sentence about it.
struct FieldError {
  std::string path;
  std::string message;
};

// The first field that is out of range; `path` is empty if none is.
FieldError FindFieldError(const RunSpec& spec);
// The first field of a spec on record that is out of range. Such a spec was accepted once, so it
// may be of any size, and its architecture may be one that this version does not know.
FieldError FindValueError(const RunSpec& spec);
// Gives the first field that is out of range as INVALID_ARGUMENT "loss.temperature must be > 0, got
// -1".
absl::Status ValidateRunSpec(const RunSpec& spec);

// Reads YAML (or JSON, which is YAML). INVALID_ARGUMENT "FILE:LINE: ..." for what does not parse,
// an unknown key (with the nearest known one), a wrong type or a value out of range. `file_name` is
// used in messages alone.
absl::StatusOr<RunSpec> ParseRunSpec(const std::string& yaml, const std::string& file_name);
absl::StatusOr<RunSpec> ReadRunSpec(const std::string& path);

// One line of JSON that ParseRunSpec reads back to the same spec. So does RunSpecFromJson, except
// that it puts ones for zeros (PutOnesForZeros). REQUIRES: the spec's texts are UTF-8, as those of
// a valid spec are.
std::string RunSpecToJson(const RunSpec& spec);
// Reads what RunSpecToJson of this or an older version wrote, much faster than as YAML. Sets no
// limit to its size, since it was accepted once. INVALID_ARGUMENT names what cannot be read.
absl::StatusOr<RunSpec> RunSpecFromJson(const std::string& json);

}  // namespace distillery
