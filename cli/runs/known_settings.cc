#include "cli/runs/known_settings.h"

#include <algorithm>
#include <iterator>

#include "common/base/names.h"

namespace distillery {
namespace {

KnownSettings Digits() {
  KnownSettings settings;
  RunSpec& teacher = settings.teacher;
  teacher.name = "teacher";
  // Not the validation part: the students' rates are chosen on images that the teacher never saw.
  teacher.dataset.train_split = "fit";
  teacher.student.architecture = "mlp:64-512-512-10,dropout=0.5,input_dropout=0.1";
  teacher.loss.alpha = 0;
  teacher.training.rounds = 8;
  teacher.training.local_epochs = 6;
  teacher.training.batch_size = 64;
  teacher.training.learning_rate = 0.05;
  teacher.training.schedule = "one_cycle";
  RunSpec& student = settings.student;
  student.name = "student";
  student.student.architecture = "mlp:64-8-10";
  student.dataset.shard_size = 64;
  student.loss.alpha = 0.9;
  student.loss.temperature = 2;
  student.training.rounds = 10;
  student.training.replicas = 3;
  student.training.local_epochs = 12;
  student.training.batch_size = 32;
  student.training.schedule = "cosine";
  settings.rates = {0.01, 0.03, 0.1};
  return settings;
}

// The networks of Hinton, Vinyals and Dean 2015, section 3.
KnownSettings Mnist() {
  KnownSettings settings;
  RunSpec& teacher = settings.teacher;
  teacher.name = "teacher";
  teacher.dataset.name = "mnist";
  teacher.dataset.shard_size = 2000;
  teacher.dataset.augmentation = "jitter:2";
  teacher.dataset.views = 40;
  teacher.student.architecture = "mlp:784-1200-1200-10,dropout=0.5,input_dropout=0.2";
  teacher.loss.alpha = 0;
  teacher.training.rounds = 10;
  teacher.training.local_epochs = 1;
  teacher.training.batch_size = 128;
  teacher.training.learning_rate = 0.03;
  teacher.training.schedule = "one_cycle";
  RunSpec& student = settings.student;
  student.name = "student";
  student.dataset = teacher.dataset;
  student.dataset.augmentation = "none";
  student.dataset.views = 1;
  student.student.architecture = "mlp:784-32-10";
  student.loss.alpha = 0.9;
  student.loss.temperature = 2;
  student.training.rounds = 10;
  student.training.replicas = 3;
  student.training.local_epochs = 2;
  student.training.batch_size = 64;
  student.training.schedule = "cosine";
  settings.rates = {0.01, 0.03, 0.1};
  return settings;
}

struct Known {
  const char* dataset;
  KnownSettings (*settings)();
};
constexpr Known kKnown[] = {{"digits", &Digits}, {"mnist", &Mnist}};

}  // namespace

absl::StatusOr<KnownSettings> KnownSettingsFor(const std::string& dataset) {
  std::vector<std::string> names;
  for (const Known& known : kKnown) {
    if (dataset == known.dataset) return known.settings();
    names.emplace_back(known.dataset);
  }
  return absl::InvalidArgumentError(UnknownName("data set", dataset, names));
}

bool HasKnownSettings(const std::string& dataset) {
  return std::any_of(std::begin(kKnown), std::end(kKnown),
                     [&](const Known& known) { return dataset == known.dataset; });
}

RunSpec TeacherForAnyData(const std::string& dataset, AnswerKind answers) {
  RunSpec teacher;
  teacher.name = "teacher";
  teacher.dataset.name = dataset;
  // For the same reason as that of digits.
  teacher.dataset.train_split = "fit";
  teacher.loss.alpha = 0;
  if (answers == AnswerKind::kValues) teacher.loss.name = "mse";
  teacher.training.rounds = 20;
  teacher.training.local_epochs = 1;
  teacher.training.batch_size = 32;
  teacher.training.optimizer = "adamw";
  teacher.training.learning_rate = 0.003;
  teacher.training.schedule = "one_cycle";
  return teacher;
}

}  // namespace distillery
