#include "student_worker/trainer.h"

#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/data/pixels.h"
#include "common/model/flat_parameters.h"
#include "common/model/inputs.h"
#include "common/model/module_weights.h"
#include "common/model/numerics.h"
#include "common/model/student.h"
#include "common/model/target_batch.h"
#include "common/run/replica_plan.h"
#include "common/run/schedule.h"
#include "student_worker/prefetcher.h"

namespace distillery {
namespace {

// The requests for the soft targets of each shard use, in order.
std::vector<ShardRequest> MakeRequests(const TrainJob& job, const std::vector<ShardUse>& uses) {
  std::vector<ShardRequest> requests;
  for (const ShardUse& use : uses) {
    ShardRequest request;
    request.dataset = job.dataset->reference();
    request.dataset_digest = job.dataset->digest();
    request.shard = use.shard;
    request.row_count = job.dataset->Shard(use.shard)->count;
    request.class_count = job.dataset->class_count();
    request.augmentation = job.spec->dataset.augmentation;
    request.augmentation_seed = job.spec->seed;
    request.view = use.epoch % job.spec->dataset.views;
    request.format = job.spec->soft_target_format();
    request.teacher_digest = job.teacher_digest;
    requests.push_back(std::move(request));
  }
  return requests;
}

LossOptions LossOf(const RunSpec& spec) {
  return {spec.loss.alpha,
          spec.loss.temperature,
          ParseSoftLoss(spec.loss.name).value_or(SoftLoss::kKd),
          spec.loss.label_smoothing,
          spec.loss.dkd_alpha,
          spec.loss.dkd_beta};
}

OptimizerOptions OptimizerOf(const RunSpec& spec) {
  return {spec.training.optimizer == "adamw" ? OptimizerOptions::Kind::kAdamW
                                             : OptimizerOptions::Kind::kSgd,
          spec.training.momentum, spec.training.nesterov, spec.training.weight_decay,
          spec.training.max_gradient_norm};
}

// One task's state: the module, its optimizer, and the batch being filled.
class Training {
 public:
  Training(const TrainJob& job, torch::jit::Module module, FlatOptimizer optimizer, int64_t sample_count)
      : job_(job),
        spec_(*job.spec),
        module_(std::move(module)),
        optimizer_(std::move(optimizer)),
        batch_size_(spec_.training.batch_size),
        step_count_((sample_count + batch_size_ - 1) / batch_size_),
        targets_(batch_size_, job.dataset->class_count(), spec_.soft_target_format()),
        loss_options_(LossOf(spec_)) {
    const ImageShape& shape = job.dataset->shape();
    inputs_ = torch::empty({batch_size_, shape.channels, shape.height, shape.width},
                           torch::kFloat32);
    labels_ = torch::empty({batch_size_}, torch::kInt64);
  }

  // Takes the samples of one shard use; `soft` holds the whole shard, or nothing without a teacher.
  absl::Status AddShard(const ShardUse& use, const View& view, const SoftTargetRows& soft) {
    const RowRange range = *job_.dataset->Shard(use.shard);
    const std::vector<int64_t> order =
        ShardSampleOrder(spec_.seed, use.epoch, use.shard, range.count);
    const int64_t pixels = job_.dataset->shape().size();
    for (int64_t i = use.first; i < use.first + use.count; ++i) {
      const int64_t row = range.first + order[i];
      LoadPixels(*job_.dataset, {row}, view, inputs_.data_ptr<float>() + filled_ * pixels);
      labels_.data_ptr<int64_t>()[filled_] = job_.dataset->Label(row);
      if (soft.row_count > 0) targets_.Set(filled_, soft, order[i]);
      if (++filled_ == batch_size_) DISTILLERY_RETURN_IF_ERROR(Step());
    }
    return absl::OkStatus();
  }

  // Trains on what is left of the last batch. A single sample is left out: BatchNorm cannot train
  // on one.
  absl::Status FinishBatches() { return filled_ > 1 ? Step() : absl::OkStatus(); }

  const torch::jit::Module& module() const { return module_; }
  // Means over the samples seen.
  TrainMetrics metrics() const {
    TrainMetrics result = sums_;
    const auto samples = static_cast<double>(std::max<int64_t>(1, sums_.sample_count));
    for (double* const mean : {&result.loss, &result.soft_loss, &result.hard_loss}) {
      *mean /= samples;
    }
    return result;
  }

 private:
  absl::Status Step() {
    if (job_.cancel->load()) return absl::CancelledError("cancelled");
    const int64_t step = sums_.step_count;
    const double progress =
        (static_cast<double>(job_.round) +
         static_cast<double>(step) / static_cast<double>(step_count_)) /
        static_cast<double>(spec_.training.rounds);
    const double rate =
        LearningRateAt(spec_.training.schedule, spec_.training.learning_rate, progress,
                       spec_.training.warm_up);
    const bool whole = filled_ == batch_size_;
    const at::Tensor inputs = whole ? inputs_ : inputs_.narrow(0, 0, filled_);
    const at::Tensor labels = whole ? labels_ : labels_.narrow(0, 0, filled_);
    // Dropout draws from LibTorch's default generator: name its stream by the step.
    at::manual_seed(DeriveSeed(spec_.seed, "dropout", static_cast<uint64_t>(job_.round),
                               static_cast<uint64_t>(job_.replica), static_cast<uint64_t>(step)));
    const at::Tensor logits = module_.forward({Normalise(inputs, *job_.card)}).toTensor();
    const DistillationLoss loss =
        targets_.Loss(logits, labels, loss_options_);
    const auto value = loss.total.item<double>();
    if (!std::isfinite(value)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the loss is ", value, " at step ", step, " of round ", job_.round, ", replica ",
          job_.replica, ": lower training.learning_rate (", spec_.training.learning_rate, ")"));
    }
    optimizer_.ZeroGradients();
    loss.total.backward();
    optimizer_.Step(rate);
    const auto samples = static_cast<double>(filled_);
    sums_.loss += samples * value;
    sums_.hard_loss += samples * loss.hard.item<double>();
    if (loss.soft.defined()) sums_.soft_loss += samples * loss.soft.item<double>();
    sums_.sample_count += filled_;
    ++sums_.step_count;
    filled_ = 0;
    if (job_.progress) job_.progress(sums_.sample_count);
    return absl::OkStatus();
  }

  const TrainJob& job_;
  const RunSpec& spec_;
  torch::jit::Module module_;
  FlatOptimizer optimizer_;
  const int64_t batch_size_;
  const int64_t step_count_;
  TargetBatch targets_;
  const LossOptions loss_options_;
  // [batch, channels, height, width], [batch]
  at::Tensor inputs_;
  at::Tensor labels_;
  int64_t filled_ = 0;
  TrainMetrics sums_;
};

absl::StatusOr<TrainResult> Train(const TrainJob& job) {
  const absl::Time start = absl::Now();
  const RunSpec& spec = *job.spec;
  ConfigureTorch(spec.compute_threads);
  DISTILLERY_RETURN_IF_ERROR(CheckFits(*job.card, *job.dataset));
  DISTILLERY_RETURN_IF_ERROR(
      Annotate(spec.soft_target_format().Validate(job.dataset->class_count()), "soft_targets"));
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildStudent({spec.student.architecture, job.student_file, spec.student.digest}, *job.card,
                   spec.seed));
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(*job.weights, module));
  DISTILLERY_ASSIGN_OR_RETURN(
      FlatOptimizer optimizer, FlatOptimizer::Create(module, OptimizerOf(spec)));
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<ShardUse> uses,
      PlanReplica(spec, job.dataset->size(), job.round, job.replica));
  View view;
  DISTILLERY_ASSIGN_OR_RETURN(view.augmentation, Augmentation::Parse(spec.dataset.augmentation));
  view.seed = spec.seed;
  int64_t samples = 0;
  for (const ShardUse& use : uses) samples += use.count;

  module.train();
  Training training(job, module, std::move(optimizer), samples);
  std::optional<Prefetcher> prefetcher;
  if (spec.needs_teacher()) prefetcher.emplace(job.teacher, MakeRequests(job, uses), *job.cancel);
  std::string teacher_digest;
  for (const ShardUse& use : uses) {
    Prefetcher::Shard soft;
    if (prefetcher.has_value()) {
      DISTILLERY_ASSIGN_OR_RETURN(soft, prefetcher->Next());
      teacher_digest = soft.teacher_digest;
    }
    view.view = use.epoch % spec.dataset.views;
    DISTILLERY_RETURN_IF_ERROR(training.AddShard(use, view, soft.rows));
  }
  DISTILLERY_RETURN_IF_ERROR(training.FinishBatches());
  DISTILLERY_ASSIGN_OR_RETURN(const Weights trained, WeightsOf(training.module()));
  TrainMetrics metrics = training.metrics();
  if (prefetcher.has_value()) {
    metrics.teacher_wait_seconds = absl::ToDoubleSeconds(prefetcher->waited());
  }
  metrics.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  return TrainResult{Delta(*job.weights, trained, BufferNames(training.module())), teacher_digest,
                     metrics};
}

}  // namespace

absl::StatusOr<TrainResult> TrainReplica(const TrainJob& job) {
  absl::StatusOr<TrainResult> result = absl::InternalError("not trained");
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    result = Train(job);
    return absl::OkStatus();
  }));
  return result;
}

absl::StatusOr<InitialWeights> MakeInitialWeights(const RunSpec& spec, const Dataset& dataset,
                                                  const std::string& student_file) {
  ModelCard card = CardForDataset(dataset, spec.student.architecture);
  DISTILLERY_ASSIGN_OR_RETURN(
      const torch::jit::Module module,
      BuildStudent({spec.student.architecture, student_file, spec.student.digest}, card,
                   spec.seed));
  DISTILLERY_ASSIGN_OR_RETURN(Weights weights, WeightsOf(module));
  return InitialWeights{std::move(weights), BufferNames(module), std::move(card)};
}

}  // namespace distillery
