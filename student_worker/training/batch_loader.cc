#include "student_worker/training/batch_loader.h"

#include <torch/script.h>

#include <algorithm>
#include <limits>

#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/data/numbers.h"
#include "common/nn/inputs.h"
#include "common/nn/normaliser.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

// One being filled, one ready, one in training.
constexpr size_t kBatches = 3;

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
    request.answer = job.dataset->spec().answer;
    request.augmentation = job.spec->dataset.augmentation;
    request.augmentation_seed = job.spec->seed;
    request.view = use.epoch % job.spec->dataset.views;
    request.format = job.spec->soft_target_format(request.answer.kind);
    request.teacher_digest = job.teacher_digest;
    requests.push_back(std::move(request));
  }
  return requests;
}

at::Tensor HostTensor(at::IntArrayRef shape, at::ScalarType type, DeviceRuntime* device) {
  return device == nullptr ? torch::empty(shape, type) : device->PinnedTensor(shape, type);
}

}  // namespace

TrainBatch::TrainBatch(const ModelCard& card, const Dataset& dataset, int64_t batch_size,
                       TargetBatch empty, DeviceRuntime* device)
    : targets(std::move(empty)) {
  const SampleSpec& spec = dataset.spec();
  for (const InputSpec& input : card.samples.inputs) {
    inputs.push_back(HostTensor(BatchShape(input, batch_size), ScalarTypeOf(input), device));
  }
  labels = HostTensor(LabelShape(spec.answer, batch_size, dataset.class_count()),
                      LabelScalarType(spec.answer), device);
  mask = torch::empty({batch_size, spec.answer.position_count()}, torch::kBool);
}

std::vector<at::Tensor> TrainBatch::Inputs() const {
  std::vector<at::Tensor> held;
  for (const at::Tensor& input : inputs) held.push_back(input.narrow(0, 0, size));
  return held;
}

at::Tensor TrainBatch::Mask() const {
  return answers == size * mask.size(1) ? at::Tensor() : mask.narrow(0, 0, size);
}

BatchLoader::BatchLoader(const TrainJob& job, const SampleSelection& selection,
                         std::vector<ShardUse> uses, Augmentation augmentation,
                         DeviceRuntime* device)
    : job_(job),
      selection_(selection),
      uses_(std::move(uses)),
      label_count_(LabelCount(job.dataset->spec().answer, job.dataset->class_count())),
      free_(kBatches),
      ready_(kBatches) {
  const AnswerSpec& answer = job.dataset->spec().answer;
  view_.augmentation = std::move(augmentation);
  view_.seed = job.spec->seed;
  for (size_t i = 0; i < kBatches; ++i) {
    const int64_t size = job.spec->training.batch_size;
    TargetBatch targets(size, answer.position_count(), job.dataset->class_count(),
                        job.spec->soft_target_format(answer.kind));
    (void)free_.Push(
        std::make_unique<TrainBatch>(*job.card, *job.dataset, size, std::move(targets), device));
  }
  if (job.spec->needs_teacher()) {
    prefetcher_.emplace(job.teacher, MakeRequests(job, uses_), *job.cancel);
  }
  thread_ = std::thread([this] {
    absl::Status status = CatchTorchErrors([this] { return Load(); });
    if (!status.ok()) (void)ready_.Push(std::move(status));
    ready_.Close();
  });
}

BatchLoader::~BatchLoader() {
  // A loader that waits for soft targets is woken by their end.
  free_.Close();
  ready_.Close();
  if (prefetcher_.has_value()) prefetcher_->Stop();
  thread_.join();
}

absl::StatusOr<std::unique_ptr<TrainBatch>> BatchLoader::Next() {
  const absl::Duration start = SteadyNow();
  std::optional<absl::StatusOr<Loaded>> loaded = ready_.Pop();
  const absl::Duration waited = SteadyNow() - start;
  if (!loaded.has_value()) return std::unique_ptr<TrainBatch>();
  DISTILLERY_RETURN_IF_ERROR(loaded->status());
  // The part of this wait in which the loader itself waited for soft targets of this batch.
  const absl::Duration for_teacher = std::min(waited, (*loaded)->teacher_waited - loader_waited_);
  loader_waited_ = (*loaded)->teacher_waited;
  teacher_waited_ += for_teacher;
  data_waited_ += waited - for_teacher;
  return std::move((*loaded)->batch);
}

void BatchLoader::Recycle(std::unique_ptr<TrainBatch> batch) { (void)free_.Push(std::move(batch)); }

absl::Status BatchLoader::Load() {
  for (const ShardUse& use : uses_) {
    Prefetcher::Shard soft;
    if (prefetcher_.has_value()) {
      DISTILLERY_ASSIGN_OR_RETURN(soft, prefetcher_->Next());
      teacher_digest_ = soft.teacher_digest;
    }
    view_.view = use.epoch % job_.spec->dataset.views;
    DISTILLERY_RETURN_IF_ERROR(AddShard(use, soft.rows));
  }
  return filling_ == nullptr ? absl::OkStatus() : HandOver();
}

absl::Status BatchLoader::AddShard(const ShardUse& use, const SoftTargetRows& soft) {
  const RowRange range = *job_.dataset->Shard(use.shard);
  int64_t place = 0;
  for (const int64_t at : ShardSampleOrder(job_.spec->seed, use.epoch, use.shard, range.count)) {
    if (!selection_.Selected(range.first + at)) continue;
    if (place >= use.first + use.count) break;
    if (place++ < use.first) continue;
    DISTILLERY_RETURN_IF_ERROR(Append(range.first + at, soft, at));
    if (filling_->size == 1) filling_->first_shard = use.shard;
    if (filling_->size == job_.spec->training.batch_size) DISTILLERY_RETURN_IF_ERROR(HandOver());
  }
  return absl::OkStatus();
}

absl::Status BatchLoader::Append(int64_t row, const SoftTargetRows& soft, int64_t soft_row) {
  if (filling_ == nullptr) {
    std::optional<std::unique_ptr<TrainBatch>> batch = free_.Pop();
    if (!batch.has_value()) return absl::CancelledError("training has ended");
    filling_ = *std::move(batch);
    filling_->size = 0;
    filling_->answers = 0;
    filling_->labelled = 0;
  }
  TrainBatch& batch = *filling_;
  const std::vector<InputSpec>& taken = job_.card->samples.inputs;
  const auto at = [&](const at::Tensor& tensor) -> void* {
    const auto bytes = static_cast<int64_t>(tensor.nbytes()) / tensor.size(0);
    return static_cast<char*>(tensor.data_ptr()) + batch.size * bytes;
  };
  SampleNumbers numbers;
  for (const at::Tensor& input : batch.inputs) numbers.inputs.push_back(at(input));
  numbers.labels = at(batch.labels);
  DISTILLERY_RETURN_IF_ERROR(LoadNumbers(*job_.dataset, {row}, view_, taken, numbers));
  size_t channel = 0;
  for (size_t i = 0; i < taken.size(); ++i) {
    const InputSpec& input = taken[i];
    if (input.channels() == 0) continue;
    Normalise(input, &job_.card->mean[channel], &job_.card->deviation[channel], /*rows=*/1,
              static_cast<float*>(numbers.inputs[i]));
    channel += static_cast<size_t>(input.channels());
  }
  TakeLabels(row, batch.size);
  if (soft.row_count > 0) batch.targets.Set(batch.size, soft, soft_row);
  ++batch.size;
  return absl::OkStatus();
}

void BatchLoader::TakeLabels(int64_t row, int64_t place) {
  TrainBatch& batch = *filling_;
  const AnswerSpec& answer = job_.dataset->spec().answer;
  // Of what is not one class, the class that the selection knows of is no label.
  const int32_t taught = selection_.Label(row);
  const bool hidden = taught == SampleSelection::kNoLabel;
  const int64_t positions = batch.mask.size(1);
  bool* const counts = batch.mask.data_ptr<bool>() + place * positions;
  std::fill_n(counts, positions, true);
  if (answer.one_class()) {
    batch.labels.data_ptr<int64_t>()[place] = taught;
  } else if (answer.kind == AnswerKind::kClasses) {
    int64_t* const labels = batch.labels.data_ptr<int64_t>() + place * label_count_;
    for (int64_t i = 0; i < positions; ++i) counts[i] = labels[i] != kNoLabel;
    if (hidden) std::fill_n(labels, label_count_, kNoLabel);
  } else if (hidden) {
    std::fill_n(batch.labels.data_ptr<float>() + place * label_count_, label_count_,
                std::numeric_limits<float>::quiet_NaN());
  }
  const int64_t counted = std::count(counts, counts + positions, true);
  batch.answers += counted;
  if (!hidden) batch.labelled += counted;
}

absl::Status BatchLoader::HandOver() {
  Loaded loaded;
  loaded.batch = std::move(filling_);
  if (prefetcher_.has_value()) loaded.teacher_waited = prefetcher_->waited();
  if (!ready_.Push(std::move(loaded))) return absl::CancelledError("training has ended");
  return absl::OkStatus();
}

}  // namespace distillery
