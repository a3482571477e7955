#include "student_worker/training/trainer.h"

#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/nn/device.h"
#include "common/nn/module_weights.h"
#include "common/nn/numerics.h"
#include "common/nn/student.h"
#include "common/nn/student_check.h"
#include "common/nn/tied_parameters.h"
#include "common/run/replica_plan.h"
#include "common/run/run_data.h"
#include "common/run/sample_selection.h"
#include "common/run/schedule.h"
#include "common/weights/delta_encoding.h"
#include "common/weights/optimizer_state.h"
#include "student_worker/training/batch_loader.h"
#include "student_worker/training/flat_parameters.h"

namespace distillery {
namespace {

// The run's loss; alpha and temperature are set for each step.
LossOptions LossOf(const RunSpec& spec, AnswerKind answers) {
  LossOptions options;
  options.answers = answers;
  options.soft = ParseSoftLoss(spec.loss.name).value_or(SoftLoss::kKd);
  options.label_smoothing = spec.loss.label_smoothing;
  options.dkd_alpha = spec.loss.dkd_alpha;
  options.dkd_beta = spec.loss.dkd_beta;
  return options;
}

OptimizerOptions OptimizerOf(const RunSpec& spec) {
  OptimizerOptions options;
  if (spec.training.optimizer == "adamw") options.kind = OptimizerOptions::Kind::kAdamW;
  options.momentum = spec.training.momentum;
  options.nesterov = spec.training.nesterov;
  options.weight_decay = spec.training.weight_decay;
  options.max_gradient_norm = spec.training.max_gradient_norm;
  options.max_weight_norm = spec.training.max_weight_norm;
  return options;
}

// See Training::Exploded.
constexpr double kExplosion = 1e6;

// One task's state: the module and its optimizer.
class Training {
 public:
  Training(const TrainJob& job, torch::jit::Module module, FlatOptimizer optimizer,
           const ComputeDevice& device, int64_t sample_count)
      : job_(job),
        spec_(*job.spec),
        device_(device),
        module_(std::move(module)),
        optimizer_(std::move(optimizer)),
        step_count_((sample_count + spec_.training.batch_size - 1) / spec_.training.batch_size),
        loss_options_(LossOf(spec_, job.dataset->spec().answer.kind)) {}

  absl::Status Step(const TrainBatch& batch) {
    if (job_.cancel->load()) return absl::CancelledError("cancelled");
    const double progress = Progress();
    SetLoss(progress, batch);
    // Dropout draws from LibTorch's default generator: name its stream by the step.
    at::manual_seed(DeriveSeed(spec_.seed, "dropout", static_cast<uint64_t>(job_.round),
                               static_cast<uint64_t>(job_.replica),
                               static_cast<uint64_t>(sums_.step_count)));
    std::vector<at::Tensor> inputs = batch.Inputs();
    for (at::Tensor& input : inputs) input = OnDevice(input);
    const at::Tensor labels = OnDevice(batch.Labels());
    DISTILLERY_ASSIGN_OR_RETURN(const at::Tensor answers, Forward(inputs));
    const DistillationLoss loss = batch.targets.Loss(answers, labels, loss_options_, batch.Mask());
    optimizer_.ZeroGradients();
    loss.total.backward();
    optimizer_.Step(LearningRateAt(spec_.training.schedule, spec_.training.learning_rate, progress,
                                   spec_.training.warm_up));
    const double value = Count(batch, loss);
    if (!std::isfinite(value)) return Diverged(absl::StrCat("the loss is ", value), batch);
    if (Exploded(value, batch, answers, labels)) {
      return Diverged(absl::StrCat("the loss is ", value, ", over ", kExplosion,
                                   " times that of a student that ",
                                   loss_options_.answers == AnswerKind::kValues
                                       ? "answers nothing but 0"
                                       : "takes all classes for equally likely"),
                      batch);
    }
    ++sums_.step_count;
    if (sums_.step_count == step_count_ && !optimizer_.Finite()) {
      return Diverged("weights are not finite", batch);
    }
    if (job_.progress) job_.progress(sums_.sample_count);
    return absl::OkStatus();
  }

  const torch::jit::Module& module() const { return module_; }
  const FlatOptimizer& optimizer() const { return optimizer_; }
  // Means over the answers seen that count. Each figure of OfRound::kMean (see task.h) must be
  // listed here too, since it is a sum until now.
  TrainMetrics metrics() const {
    TrainMetrics result = sums_;
    const auto answers = static_cast<double>(std::max<int64_t>(1, answers_));
    for (double* const mean :
         {&result.loss, &result.soft_loss, &result.dkd_target_loss, &result.dkd_other_loss}) {
      *mean /= answers;
    }
    result.hard_loss /= static_cast<double>(std::max<int64_t>(1, labelled_));
    return result;
  }

 private:
  // The progress of the whole run, 0 to 1.
  double Progress() const {
    return (static_cast<double>(job_.round) +
            static_cast<double>(sums_.step_count) / static_cast<double>(step_count_)) /
           static_cast<double>(spec_.training.rounds);
  }

  void SetLoss(double progress, const TrainBatch& batch) {
    const auto& loss = spec_.loss;
    loss_options_.labelled = batch.labelled > 0;
    loss_options_.alpha = loss.alpha;
    // Values are not softened.
    const bool softened = loss_options_.answers != AnswerKind::kValues;
    loss_options_.temperature = softened ? loss.temperature : 1;
    if (spec_.alpha_changes()) {
      loss_options_.alpha =
          ScheduledValue(loss.alpha_schedule, loss.alpha, loss.alpha_end, progress, loss.warm_up);
    }
    if (softened && spec_.temperature_changes()) {
      loss_options_.temperature = ScheduledValue(loss.temperature_schedule, loss.temperature,
                                                 loss.temperature_end, progress, loss.warm_up);
    }
  }

  // `host` is not written to before Count, which waits for the copy.
  at::Tensor OnDevice(const at::Tensor& host) const {
    return device_.is_cpu() ? host : device_.runtime->CopyToDevice(host, device_.tensors);
  }

  absl::StatusOr<at::Tensor> Forward(const std::vector<at::Tensor>& inputs) {
    const MixedPrecisionScope scope(spec_.training.precision == "mixed", device_.tensors);
    return TrainingLogits(module_, inputs, job_.card->answer_shape());
  }

  // Returns the loss. The one place in a step that waits for the device: it has all its work by
  // then.
  double Count(const TrainBatch& batch, const DistillationLoss& loss) {
    const auto answers = static_cast<double>(batch.answers);
    const auto labelled = static_cast<double>(batch.labelled);
    std::vector<at::Tensor> terms;
    std::vector<std::pair<double, double*>> sums;
    for (const auto& [term, weight, sum] :
         {std::tuple(loss.total, answers, &sums_.loss),
          std::tuple(loss.soft, answers, &sums_.soft_loss),
          std::tuple(loss.hard, labelled, &sums_.hard_loss),
          std::tuple(loss.dkd_target, answers, &sums_.dkd_target_loss),
          std::tuple(loss.dkd_other, answers, &sums_.dkd_other_loss)}) {
      if (!term.defined()) continue;
      terms.push_back(term.detach());
      sums.emplace_back(weight, sum);
    }
    const at::Tensor values = at::stack(terms).cpu();
    const auto* const value = values.data_ptr<float>();
    for (size_t i = 0; i < sums.size(); ++i) *sums[i].second += sums[i].first * value[i];
    answers_ += batch.answers;
    labelled_ += batch.labelled;
    sums_.sample_count += batch.size;
    return value[0];
  }

  // A finite loss that tells of no learning any more. All classes alike cost ln(classes), in the
  // terms of the loss and on the targets of this very batch; a million times that means logits some
  // million nats apart. There float32 holds no tenth of a nat, softmax is 0 or 1, and the gradient
  // says as much as a coin: such weights do not come back, though each number in them is finite. A
  // step of a rate that is too high, from which training does come back, stays far below. A run
  // whose guard says what an explosion is goes by its guard.
  bool Exploded(double value, const TrainBatch& batch, const at::Tensor& answers,
                const at::Tensor& labels) const {
    if (value <= kExplosion || spec_.guard.max_loss_ratio > 0) return false;
    const at::NoGradGuard no_gradients;
    const DistillationLoss uninformed =
        batch.targets.Loss(at::zeros_like(answers), labels, loss_options_, batch.Mask());
    return value > kExplosion * std::max(1.0, uninformed.total.item<double>());
  }

  absl::Status Diverged(const std::string& what, const TrainBatch& batch) const {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " at batch ", sums_.step_count, " (from shard ", batch.first_shard,
                     " of ", job_.dataset->reference().ToString(), ") of round ", job_.round,
                     ", replica ", job_.replica, ": lower training.learning_rate (",
                     spec_.training.learning_rate, ") or set training.max_gradient_norm"));
  }

  const TrainJob& job_;
  const RunSpec& spec_;
  const ComputeDevice device_;
  torch::jit::Module module_;
  FlatOptimizer optimizer_;
  const int64_t step_count_;
  LossOptions loss_options_;
  int64_t answers_ = 0;
  int64_t labelled_ = 0;
  TrainMetrics sums_;
};

// The student with W_r on the device, and what of W_r is the optimizer's.
absl::StatusOr<torch::jit::Module> LoadStudent(const TrainJob& job, const ComputeDevice& device) {
  const RunSpec& spec = *job.spec;
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildStudent({spec.student.architecture, job.student_file, spec.student.digest}, *job.card,
                   std::nullopt));
  DISTILLERY_RETURN_IF_ERROR(
      LoadWeights(spec.carries_optimizer_state() ? ModelPart(*job.weights) : *job.weights, module));
  if (!device.is_cpu()) module.to(device.tensors);
  return module;
}

// Names of the tensors of `weights` that are no parameters, sorted.
std::vector<std::string> BuffersOf(const torch::jit::Module& module, const Weights& state) {
  std::vector<std::string> names = BufferNames(module);
  for (const TensorSpec& tensor : state.layout().tensors()) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  return names;
}

// The module's weights, with the optimizer's state if the run carries it.
absl::StatusOr<Weights> AllWeights(const RunSpec& spec, const torch::jit::Module& module,
                                   const FlatOptimizer& optimizer,
                                   std::vector<std::string>* buffers) {
  DISTILLERY_ASSIGN_OR_RETURN(Weights weights, WeightsOf(module));
  if (!spec.carries_optimizer_state()) {
    *buffers = BufferNames(module);
    return weights;
  }
  DISTILLERY_ASSIGN_OR_RETURN(const Weights state, optimizer.State());
  *buffers = BuffersOf(module, state);
  return WithOptimizerState(weights, state);
}

absl::StatusOr<TrainResult> Train(const TrainJob& job) {
  const absl::Duration start = SteadyNow();
  const RunSpec& spec = *job.spec;
  ConfigureTorch(spec.compute_threads);
  DISTILLERY_RETURN_IF_ERROR(CheckFits(*job.card, *job.dataset));
  const AnswerShape answer = job.card->answer_shape();
  DISTILLERY_RETURN_IF_ERROR(
      Annotate(spec.soft_target_format(answer.answer.kind).Validate(answer), "soft_targets"));
  DISTILLERY_ASSIGN_OR_RETURN(const ComputeDevice device, ParseDevice(job.device, job.devices));
  DISTILLERY_ASSIGN_OR_RETURN(torch::jit::Module module, LoadStudent(job, device));
  DISTILLERY_ASSIGN_OR_RETURN(FlatOptimizer optimizer,
                              FlatOptimizer::Create(module, OptimizerOf(spec)));
  if (spec.carries_optimizer_state()) {
    DISTILLERY_RETURN_IF_ERROR(optimizer.LoadState(OptimizerPart(*job.weights)));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSelection selection,
                              SampleSelection::Create(spec, *job.dataset));
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<ShardUse> uses,
                              PlanReplica(spec, selection.shard_sizes(), job.round, job.replica));
  DISTILLERY_ASSIGN_OR_RETURN(Augmentation augmentation,
                              Augmentation::Parse(spec.dataset.augmentation));
  int64_t planned = 0;
  for (const ShardUse& use : uses) planned += use.count;
  const int64_t samples = TrainedSampleCount(planned, spec.training.batch_size);
  if (samples == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "replica ", job.replica, " has a single sample in round ", job.round,
        ": lower training.replicas, or raise training.batch_size or dataset.sample_fraction"));
  }

  Training training(job, module, std::move(optimizer), device, samples);
  BatchLoader loader(job, selection, std::move(uses), std::move(augmentation), device.runtime);
  while (true) {
    DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<TrainBatch> batch, loader.Next());
    if (batch == nullptr) break;
    if (batch->size > 1 || spec.training.batch_size == 1) {
      DISTILLERY_RETURN_IF_ERROR(training.Step(*batch));
      DISTILLERY_FAILPOINT("worker.train.step");
    }
    loader.Recycle(std::move(batch));
  }
  std::vector<std::string> buffers;
  DISTILLERY_ASSIGN_OR_RETURN(const Weights trained,
                              AllWeights(spec, training.module(), training.optimizer(), &buffers));
  TrainResult result{Delta(*job.weights, trained, buffers), "", loader.teacher_digest(),
                     training.metrics()};
  result.encoded_delta =
      EncodeDelta(result.delta, buffers, *ParseDeltaEncoding(spec.training.delta_encoding),
                  RandomStream(spec.seed, "delta-rounding", static_cast<uint64_t>(job.round),
                               static_cast<uint64_t>(job.replica)),
                  TiesOf(training.module()));
  result.metrics.teacher_wait_seconds = absl::ToDoubleSeconds(loader.teacher_waited());
  result.metrics.data_wait_seconds = absl::ToDoubleSeconds(loader.data_waited());
  result.metrics.seconds = absl::ToDoubleSeconds(SteadyNow() - start);
  return result;
}

absl::StatusOr<InitialWeights> Initialise(const RunSpec& spec, const Dataset& dataset,
                                          const std::string& student_file, const Weights* trained) {
  DISTILLERY_ASSIGN_OR_RETURN(ModelCard card, CardForDataset(dataset, spec.student.architecture));
  DISTILLERY_ASSIGN_OR_RETURN(card.samples, StudentSamples(spec, dataset.spec()));
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildStudent({spec.student.architecture, student_file, spec.student.digest}, card,
                   spec.seed));
  if (!student_file.empty()) {
    const std::string name = absl::StrCat("student ", BaseName(student_file));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckTrainable(module), name));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckTrainingOutput(module, card), name));
  }
  if (trained != nullptr) {
    const Weights weights = ModelPart(*trained);
    const absl::Status agree = CheckTiesAgree(weights, TiesOf(module));
    DISTILLERY_RETURN_IF_ERROR(Annotate(agree, "student.initial_weights"));
    DISTILLERY_RETURN_IF_ERROR(Annotate(LoadWeights(weights, module), "student.initial_weights"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const FlatOptimizer optimizer,
                              FlatOptimizer::Create(module, OptimizerOf(spec)));
  std::vector<std::string> buffers;
  DISTILLERY_ASSIGN_OR_RETURN(Weights weights, AllWeights(spec, module, optimizer, &buffers));
  return InitialWeights{std::move(weights), std::move(buffers), std::move(card)};
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
                                                  const std::string& student_file,
                                                  const Weights* trained) {
  absl::StatusOr<InitialWeights> result = absl::InternalError("not initialised");
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    result = Initialise(spec, dataset, student_file, trained);
    return absl::OkStatus();
  }));
  return result;
}

}  // namespace distillery
