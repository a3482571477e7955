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
  } dataset;
  struct {
    std::string model;
    std::string digest;
  } teacher;
  struct {
    std::string architecture;
    std::string model;
    std::string digest;
  } student;
  struct {
    std::string name = "kd";
    double alpha = 0.9;
    double temperature = 4;
    double label_smoothing = 0;
    // For name dkd, else 0.
    double dkd_alpha = 0;
    double dkd_beta = 0;
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
  } training;
  struct {
    std::string optimizer = "sgd";
    double learning_rate = 1;
    double momentum = 0;
  } outer;
  struct {
    int64_t every_rounds = 1;
  } evaluation;
  std::string numerics = "fastest";
  int64_t compute_threads = 1;
  bool exact = false;

  DatasetReference TrainingData() const {
    return {dataset.name, dataset.train_split, dataset.shard_size};
  }
  DatasetReference EvaluationData() const {
    return {dataset.name, dataset.evaluation_split, dataset.shard_size};
  }
  bool needs_teacher() const { return loss.alpha > 0; }
  // What training asks a teacher for. REQUIRES: a valid spec.
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
  });
  v.Group("teacher", [&] {
    v.Field("model", s.teacher.model);
    v.Field("digest", s.teacher.digest);
  });
  v.Group("student", [&] {
    v.Field("architecture", s.student.architecture);
    v.Field("model", s.student.model);
    v.Field("digest", s.student.digest);
  });
  v.Group("loss", [&] {
    v.Field("name", s.loss.name);
    v.Field("alpha", s.loss.alpha);
    v.Field("temperature", s.loss.temperature);
    v.Field("label_smoothing", s.loss.label_smoothing);
    v.Field("dkd_alpha", s.loss.dkd_alpha);
    v.Field("dkd_beta", s.loss.dkd_beta);
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
  });
  v.Group("outer", [&] {
    v.Field("optimizer", s.outer.optimizer);
    v.Field("learning_rate", s.outer.learning_rate);
    v.Field("momentum", s.outer.momentum);
  });
  v.Group("evaluation", [&] { v.Field("every_rounds", s.evaluation.every_rounds); });
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

// Reads YAML (or JSON, which is YAML). INVALID_ARGUMENT "FILE:LINE: ..." for what does not parse, an
// unknown key (with the nearest known one), a wrong type or a value out of range. `file_name` is
// used in messages alone.
absl::StatusOr<RunSpec> ParseRunSpec(const std::string& yaml, const std::string& file_name);
absl::StatusOr<RunSpec> ReadRunSpec(const std::string& path);

// One line of JSON that ParseRunSpec reads back to the same spec.
std::string RunSpecToJson(const RunSpec& spec);

}  // namespace distillery
