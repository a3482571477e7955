// Training speed of a worker's task against a bare LibTorch loop of the same model, in one run,
// alternating. Prints JSON: samples per second of both, and their ratio (goal >= 0.95).
//
// Both run in the process environment that our programs make for themselves
// (common/base/environment.h).
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
#include "common/nn/numerics.h"
#include "nlohmann/json.hpp"
#include "tests/benchmarks/bare_training.h"
#include "tests/benchmarks/replica_task.h"
#include "tests/benchmarks/sample_files.h"
#include "tests/benchmarks/server_process.h"

namespace distillery {
namespace {

// What each of three replicas trains on in a round over MNIST, in whole batches.
constexpr int64_t kSamples = 19968;
constexpr int kRepeats = 5;

absl::StatusOr<nlohmann::ordered_json> Measure(const std::string& architecture,
                                               const std::shared_ptr<const Dataset>& dataset) {
  const RunSpec spec = HardLabelSpec(architecture, *dataset);
  DISTILLERY_ASSIGN_OR_RETURN(const ReplicaTask task, ReplicaTask::Create(spec, dataset));
  DISTILLERY_ASSIGN_OR_RETURN(const auto loop, BareTraining::Create(spec, *dataset, task.card()));
  loop->TrainEpoch();
  DISTILLERY_RETURN_IF_ERROR(task.Train().status());
  std::vector<double> bare;
  std::vector<double> ours;
  std::vector<double> ratios;
  for (int i = 0; i < kRepeats; ++i) {
    bare.push_back(loop->TrainEpoch());
    DISTILLERY_ASSIGN_OR_RETURN(const auto trained, task.Train());
    ours.push_back(trained.seconds);
    ratios.push_back(bare.back() / ours.back());
  }
  nlohmann::ordered_json json;
  json["architecture"] = architecture;
  json["batch_size"] = spec.training.batch_size;
  json["bare_samples_per_second"] = static_cast<int64_t>(kSamples / Median(bare));
  json["worker_samples_per_second"] = static_cast<int64_t>(kSamples / Median(ours));
  json["ratio"] = std::round(1000 * Median(ratios)) / 1000;
  return json;
}

absl::Status Run() {
  DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
  DISTILLERY_RETURN_IF_ERROR(WriteIdxFolder(folder.path() + "/random", kSamples));
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset,
                              DatasetCatalog(folder.path()).Open({"random", "train", 2000}));
  nlohmann::ordered_json json;
  json["compute"] = ComputeDescription(1);
  for (const char* const architecture : {"mlp:784-1200-1200-10", "lenet"}) {
    DISTILLERY_ASSIGN_OR_RETURN(nlohmann::ordered_json measured, Measure(architecture, dataset));
    json["models"].push_back(std::move(measured));
  }
  std::printf("%s\n", json.dump(2).c_str());
  return absl::OkStatus();
}

}  // namespace
}  // namespace distillery

int main(int, char** argv) {
  distillery::EnsureComputeEnvironment("fastest", argv);
  return distillery::ReportStatus("training_speed", distillery::Run());
}
