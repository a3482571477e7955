#include "coordinator/round_files.h"

#include <cmath>

#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"

namespace distillery {

std::vector<std::pair<std::string, std::string>> NewestFiles(const StateFolder& folder,
                                                             const RunEntry& run) {
  std::vector<std::pair<std::string, std::string>> files;
  if (run.row.weights_sha256.empty()) return files;
  const std::string& run_id = run.row.run_id;
  const int64_t round = run.row.completed_rounds;
  files.emplace_back(folder.Weights(run_id, run.FileRound(round)), run.row.weights_sha256);
  // After a roll-back the outer optimizer begins anew.
  if (round == 0 || run.FileRound(round) != round) return files;
  const RoundRow& last = run.rounds.back();
  if (!last.momentum_sha256.empty()) {
    files.emplace_back(folder.Momentum(run_id, round), last.momentum_sha256);
  }
  if (!last.variance_sha256.empty()) {
    files.emplace_back(folder.Variance(run_id, round), last.variance_sha256);
  }
  return files;
}

AverageRequest RequestAverage(const StateFolder& folder, const RunEntry& run, int64_t round,
                              const std::vector<TaskRow>& tasks) {
  const std::string& run_id = run.row.run_id;
  AverageRequest request;
  for (const TaskRow& task : tasks) {
    const auto rounds_late = static_cast<double>(round - task.task.round);
    request.deltas.push_back(
        {folder.Absolute(task.delta_file),
         static_cast<double>(task.metrics.sample_count) / std::sqrt(1 + rounds_late),
         task.delta_sha256});
  }
  request.buffer_names = run.BufferNames();
  if (!run.spec.averaging.method.empty()) request.method = run.spec.averaging.method;
  request.trim = run.spec.averaging.trim;
  request.clip_norm = run.spec.averaging.clip_norm;
  request.outer_optimizer = run.spec.outer.optimizer;
  request.outer_learning_rate = run.spec.outer.learning_rate;
  request.outer_momentum = run.spec.outer.momentum;
  request.outer_beta2 = run.spec.outer.beta2;
  request.outer_epsilon = run.spec.outer.epsilon;
  request.weights_path = folder.Weights(run_id, run.FileRound(round));
  request.weights_sha256 = run.WeightsSha256(round);
  // After a roll-back the outer optimizer begins anew.
  const bool carries = round > 0 && run.FileRound(round) == round;
  if (carries) {
    const RoundRow& before = run.rounds[static_cast<size_t>(round) - 1];
    request.momentum_sha256 = before.momentum_sha256;
    request.variance_sha256 = before.variance_sha256;
  }
  if (carries && KeepsMomentum(request.outer_optimizer)) {
    request.momentum_path = folder.Momentum(run_id, round);
  }
  if (carries && KeepsVariance(request.outer_optimizer)) {
    request.variance_path = folder.Variance(run_id, round);
  }
  request.weights_output = folder.Incoming();
  request.momentum_output = folder.Incoming();
  request.variance_output = folder.Incoming();
  return request;
}

namespace {

absl::Status Publish(const StateFolder& folder, const AverageRequest& request,
                     const std::string& run_id, int64_t round) {
  if (KeepsMomentum(request.outer_optimizer)) {
    DISTILLERY_RETURN_IF_ERROR(
        RenameDurably(request.momentum_output, folder.Momentum(run_id, round + 1)));
  }
  if (KeepsVariance(request.outer_optimizer)) {
    DISTILLERY_RETURN_IF_ERROR(
        RenameDurably(request.variance_output, folder.Variance(run_id, round + 1)));
  }
  // The weights last: a crash before leaves a round that is simply averaged again.
  DISTILLERY_FAILPOINT("coordinator.momentum.renamed");
  DISTILLERY_RETURN_IF_ERROR(
      RenameDurably(request.weights_output, folder.Weights(run_id, round + 1)));
  DISTILLERY_FAILPOINT("coordinator.weights.renamed");
  return absl::OkStatus();
}

}  // namespace

absl::Status PublishAverage(const StateFolder& folder, const AverageRequest& request,
                            const std::string& run_id, int64_t round) {
  absl::Status published = Publish(folder, request, run_id, round);
  if (!published.ok()) DropAverage(request);
  return published;
}

void DropAverage(const AverageRequest& request) {
  for (const std::string* const path :
       {&request.weights_output, &request.momentum_output, &request.variance_output}) {
    const absl::Status removed = RemoveFile(*path);
    if (!removed.ok()) LogWarning("{}", std::string(removed.message()));
  }
}

}  // namespace distillery
