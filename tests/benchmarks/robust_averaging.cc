// What one replica of five that sends finite garbage does to a student: accuracy of the plain mean,
// the trimmed mean and the median beside the mean without garbage, over several seeds. Prints JSON,
// and a table to standard error; exit code 1 if a robust method is more than a point of accuracy
// off.
//
// The coordinator's domain and the workers' training are the real ones, in this process; replica
// 4's delta is replaced by noise before it is sent, in every round.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
#include "common/rpc/initialise.h"
#include "common/run/sample_selection.h"
#include "coordinator/coordinator.h"
#include "coordinator/upload/delta_upload.h"
#include "nlohmann/json.hpp"
#include "student_worker/training/torch_tasks.h"
#include "tests/benchmarks/server_process.h"

namespace distillery {
namespace {

constexpr int64_t kReplicas = 5;
constexpr int64_t kGarbled = 4;
constexpr double kAllowedPoints = 1;

struct Flags {
  std::string dataset = "digits";
  std::string data_dir = "data";
  std::string architecture;
  int64_t seeds = 5;
  int64_t rounds = 0;
  double size = 10;
};

struct Variant {
  const char* name;
  const char* method;
  double trim;
  bool garbage;
};

constexpr Variant kVariants[] = {{"mean, no garbage", "mean", 0, false},
                                 {"mean", "mean", 0, true},
                                 {"trimmed_mean", "trimmed_mean", 0.2, true},
                                 {"median", "median", 0, true}};

// Noise of the delta's layout, uniform within +-size: by default hundreds of times a delta's
// elements.
std::string Garbage(const Weights& delta, double size, const TaskId& task, int64_t seed) {
  Weights noise = delta;
  RandomStream random(seed, "garbage", static_cast<uint64_t>(task.round));
  for (const TensorSpec& tensor : noise.layout().tensors()) {
    if (tensor.type != ElementType::kFloat32) continue;
    char* const bytes = noise.Bytes(tensor);
    for (int64_t at = 0; at < tensor.byte_count; at += static_cast<int64_t>(sizeof(float))) {
      const float value = static_cast<float>(size) * (2 * random.Uniform() - 1);
      std::memcpy(bytes + at, &value, sizeof(value));
    }
  }
  return noise.file();
}

// One run from start to end; the test accuracy.
class Experiment {
 public:
  Experiment(const RunSpec& spec, const Variant& variant, const Flags& flags,
             const Dataset& training, const Dataset& test)
      : spec_(spec), variant_(variant), flags_(flags), training_(training), test_(test) {}

  absl::StatusOr<double> Run() {
    DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
    Coordinator::Options options;
    options.state_dir = folder.path() + "/state";
    DISTILLERY_ASSIGN_OR_RETURN(coordinator_, Coordinator::Open(options));
    DISTILLERY_ASSIGN_OR_RETURN(const RunView run, coordinator_->runs().Submit("run", spec_));
    DISTILLERY_ASSIGN_OR_RETURN(const WorkerRow worker,
                                coordinator_->leases().Register("worker", "worker", "", "fastest"));
    while (true) {
      absl::StatusOr<LeaseAnswer> answer = LeaseAnswer{};
      coordinator_->leases().Take(
          RandomHex(8), worker.worker_id, absl::ZeroDuration(),
          [&](absl::StatusOr<LeaseAnswer> got) { answer = std::move(got); });
      DISTILLERY_RETURN_IF_ERROR(answer.status());
      if (answer->grant.has_value()) {
        DISTILLERY_RETURN_IF_ERROR(Do(*answer->grant));
      } else if (!coordinator_->AverageNext()) {
        break;
      }
    }
    DISTILLERY_ASSIGN_OR_RETURN(const RunView ended, coordinator_->runs().Get(run.row.run_id));
    if (ended.row.state != RunState::kSucceeded || !ended.latest_evaluation.has_value()) {
      return absl::InternalError(absl::StrCat("the run did not succeed: ", ended.row.state_reason));
    }
    return ended.latest_evaluation->accuracy();
  }

 private:
  absl::Status Do(const TaskGrant& grant) {
    const TaskId& task = grant.lease.task;
    UploadHeader header;
    header.request_id = RandomHex(8);
    header.lease = grant.lease;
    if (task.kind == TaskKind::kInitialise) {
      DISTILLERY_ASSIGN_OR_RETURN(const InitialWeights initial,
                                  MakeInitialWeights(spec_, training_));
      card_ = initial.card;
      header.buffer_names = initial.buffer_names;
      header.model_card = ModelCardToJson(initial.card);
      DISTILLERY_ASSIGN_OR_RETURN(const SampleSelection selection,
                                  SampleSelection::Create(spec_, training_));
      header.samples_per_shard = selection.shard_sizes();
      return Send(header, initial.weights.file());
    }
    DISTILLERY_ASSIGN_OR_RETURN(const WeightsFile file,
                                coordinator_->weights().Open(task.run_id, task.round));
    std::string bytes(static_cast<size_t>(file.file->size()), '\0');
    DISTILLERY_RETURN_IF_ERROR(file.file->ReadAt(0, file.file->size(), bytes.data()));
    DISTILLERY_ASSIGN_OR_RETURN(const Weights weights, Weights::FromFile(std::move(bytes)));
    if (task.kind == TaskKind::kEvaluate) {
      EvaluationJob job;
      job.spec = &spec_;
      job.weights = &weights;
      job.card = &card_;
      job.dataset = &test_;
      job.cancel = &cancel_;
      DISTILLERY_ASSIGN_OR_RETURN(const EvaluationMetrics metrics, EvaluateWeights(job));
      return coordinator_->results().Evaluate(header.request_id, grant.lease, metrics).status();
    }
    TrainJob job;
    job.spec = &spec_;
    job.round = task.round;
    job.replica = task.replica;
    job.weights = &weights;
    job.card = &card_;
    job.dataset = &training_;
    job.cancel = &cancel_;
    const absl::StatusOr<TrainResult> result = TrainReplica(job);
    if (!result.ok()) {
      // Weights that garbage has made useless may give a loss that is not finite.
      return coordinator_->leases().Release(grant.lease, true,
                                            std::string(result.status().message()));
    }
    header.metrics = result->metrics;
    const bool garbled = variant_.garbage && task.replica == kGarbled;
    return Send(header, garbled ? Garbage(result->delta, flags_.size, task, spec_.seed)
                                : result->delta.file());
  }

  absl::Status Send(UploadHeader header, const std::string& file) {
    header.byte_count = static_cast<int64_t>(file.size());
    DISTILLERY_ASSIGN_OR_RETURN(const auto upload, DeltaUpload::Begin(coordinator_.get(), header));
    DISTILLERY_RETURN_IF_ERROR(upload->Append(0, file));
    return upload->Finish(1, header.byte_count, Crc32c(file)).status();
  }

  const RunSpec& spec_;
  const Variant& variant_;
  const Flags& flags_;
  const Dataset& training_;
  const Dataset& test_;
  const std::atomic<bool> cancel_{false};
  std::unique_ptr<Coordinator> coordinator_;
  ModelCard card_;
};

RunSpec SpecFor(const Flags& flags) {
  const bool digits = flags.dataset == "digits";
  RunSpec spec;
  spec.name = "robust";
  spec.dataset.name = flags.dataset;
  spec.dataset.shard_size = digits ? 28 : 500;
  spec.student.architecture = flags.architecture;
  if (spec.student.architecture.empty()) {
    spec.student.architecture = digits ? "mlp:64-32-10" : "mlp:784-128-10";
  }
  spec.loss.alpha = 0;
  spec.training.rounds = flags.rounds > 0 ? flags.rounds : (digits ? 12 : 8);
  spec.training.replicas = kReplicas;
  spec.training.local_epochs = digits ? 3 : 1;
  spec.training.batch_size = digits ? 16 : 64;
  spec.training.learning_rate = 0.05;
  spec.evaluation.every_rounds = 0;
  return spec;
}

absl::Status Measure(const Flags& flags) {
  RunSpec spec = SpecFor(flags);
  DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(spec));
  DatasetCatalog catalog(flags.data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto training, catalog.Open(spec.TrainingData()));
  DISTILLERY_ASSIGN_OR_RETURN(const auto test, catalog.Open(spec.EvaluationData()));
  nlohmann::ordered_json json = {{"dataset", flags.dataset},
                                 {"student", spec.student.architecture},
                                 {"replicas", kReplicas},
                                 {"garbage_within", flags.size}};
  double clean = 0;
  bool held = true;
  for (const Variant& variant : kVariants) {
    spec.averaging.method = variant.method;
    spec.averaging.trim = variant.trim;
    std::vector<double> accuracies;
    double sum = 0;
    for (int64_t seed = 1; seed <= flags.seeds; ++seed) {
      spec.seed = seed;
      // Where the plain mean leaves nothing to train on, the student has learned nothing.
      const auto accuracy = Experiment(spec, variant, flags, *training, *test).Run();
      if (!accuracy.ok() && std::string(variant.name) != "mean") return accuracy.status();
      accuracies.push_back(100 * accuracy.value_or(0));
      sum += accuracies.back();
    }
    const double mean = sum / static_cast<double>(flags.seeds);
    if (!variant.garbage) clean = mean;
    if (variant.garbage && std::string(variant.method) != "mean") {
      held = held && mean >= clean - kAllowedPoints;
    }
    std::fprintf(stderr, "%-18s %6.2f %%  %+6.2f points\n", variant.name, mean, mean - clean);
    json["variants"].push_back({{"averaging", variant.name},
                                {"accuracies", accuracies},
                                {"mean_accuracy", mean},
                                {"difference_points", mean - clean}});
  }
  json["within_one_point"] = held;
  std::printf("%s\n", json.dump(2).c_str());
  return held ? absl::OkStatus()
              : absl::InternalError("a robust method is more than a point of accuracy off");
}

int Main(int argc, char** argv) {
  EnsureComputeEnvironment("fastest", argv);
  Flags flags;
  CommandLine line("What one replica of five that sends garbage does to a student.",
                   "robust_averaging");
  line.Add("--dataset", flags.dataset, "digits or mnist").ShowDefault();
  line.Add("--data-dir", flags.data_dir, "folder that holds mnist/").ShowDefault();
  line.Add("--student", flags.architecture, "architecture of the student");
  line.Add("--seeds", flags.seeds).Between(1, 1000).ShowDefault();
  line.Add("--rounds", flags.rounds).Between(1, 1000);
  line.Add("--garbage", flags.size, "largest absolute value of the noise").ShowDefault();
  LogOptions log;
  log.level = "error";
  line.AddCommonFlags(&log);
  line.Footer("Example:\n  robust_averaging --dataset mnist --data-dir data > robust.json");
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("robust_averaging", log);
  return ReportStatus("robust_averaging", Measure(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
