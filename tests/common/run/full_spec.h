// Two valid RunSpecs, of which one at least differs from the defaults in any field, and a spec's
// fields as text.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/run/run_spec.h"

namespace distillery {

inline RunSpec FullSpec() {
  RunSpec spec;
  spec.name = "full.run-1";
  spec.seed = -9007199254740993;  // no double holds it
  spec.dataset = {"mnist", "fit",  "validation", 256, "crop:4+flip", 3,
                  "0.25",  {3, 7}, {},           0.5, 0.125};
  spec.teacher.model = "folder with spaces/\"t\": #1 \xC3\xA9\t\n.pt";
  spec.teacher.digest = std::string(64, 'b');
  spec.student.architecture = "lenet";
  spec.student.picture = {24, 20};
  spec.student.initial_weights = "half.pt";
  spec.student.initial_weights_sha256 = std::string(64, 'd');
  spec.loss = {"jsd", 0.1, 1.0 / 3, 0.05, 0, 0, "linear", 0.75, "", 0, 0.2};
  spec.soft_targets = {"top_k", 5};
  spec.training.rounds = 7;
  spec.training.replicas = 5;
  spec.training.local_epochs = 2;
  spec.training.local_steps = 0;
  spec.training.batch_size = 32;
  spec.training.learning_rate = 1e-7;
  spec.training.schedule = "one_cycle";
  spec.training.warm_up = 0.25;
  spec.training.momentum = 0.5;
  spec.training.nesterov = true;
  spec.training.weight_decay = 5e-4;
  spec.training.max_gradient_norm = 1.5;
  spec.training.max_weight_norm = 2.5;
  spec.training.optimizer_state = "average";
  spec.training.delta_encoding = "int8";
  spec.training.precision = "mixed";
  spec.training.broadcast_encoding = "float16";
  spec.averaging = {"trimmed_mean", 0.25, 1.5, 8};
  spec.outer = {"adam", 0.7, 0.8, 0.99, 0.001};
  spec.evaluation.every_rounds = 2;
  spec.guard = {"accuracy", "validation", 3, 0.01, 5, "roll_back"};
  spec.sync = {"quorum", 2, 30, "weight"};
  spec.scheduling = {7, {"first", "second-1a2b3c"}, 2.5, "sweep-1a2b3c"};
  spec.numerics = "portable";
  spec.compute_threads = 4;
  spec.exact = true;
  return spec;
}

// The same with the fields that exclude some of those above.
inline RunSpec FullSpecOfFiles() {
  RunSpec spec = FullSpec();
  spec.student.architecture.clear();
  spec.student.model = "student.pt";
  spec.student.digest = std::string(64, 'c');
  spec.soft_targets = {"float16", 0};
  spec.dataset.labels = "all";
  spec.loss.temperature_schedule = "cosine";
  spec.loss.temperature_end = 1;
  spec.loss.name = "dkd";
  spec.loss.dkd_alpha = 1;
  spec.loss.dkd_beta = 8;
  spec.training.local_epochs = 0;
  spec.training.local_steps = 9;
  spec.training.optimizer = "adamw";
  spec.training.nesterov = false;
  return spec;
}

// Collects "path=value" of each field; doubles by their bits.
class FieldLister {
 public:
  void Field(const std::string& name, const std::string& value) { Add(name, value); }
  void Field(const std::string& name, int64_t value) { Add(name, absl::StrCat(value)); }
  void Field(const std::string& name, bool value) { Add(name, value ? "true" : "false"); }
  void Field(const std::string& name, const std::vector<int64_t>& value) {
    Add(name, absl::StrJoin(value, ","));
  }
  void Field(const std::string& name, const std::vector<std::string>& value) {
    Add(name, absl::StrJoin(value, ","));
  }
  void Field(const std::string& name, double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    Add(name, absl::StrCat(absl::Hex(bits)));
  }
  template <typename Body>
  void Group(const std::string& name, Body body) {
    prefix_ = name + ".";
    body();
    prefix_.clear();
  }
  const std::vector<std::string>& values() const { return values_; }

 private:
  void Add(const std::string& name, const std::string& value) {
    values_.push_back(prefix_ + name + "=" + value);
  }
  std::string prefix_;
  std::vector<std::string> values_;
};

inline std::vector<std::string> ValuesOf(const RunSpec& spec) {
  FieldLister lister;
  VisitRunSpec(lister, spec);
  return lister.values();
}

}  // namespace distillery
