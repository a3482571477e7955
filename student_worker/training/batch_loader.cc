#include "student_worker/training/batch_loader.h"

#include <torch/script.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/data/pixels.h"
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
    request.augmentation = job.spec->dataset.augmentation;
    request.augmentation_seed = job.spec->seed;
    request.view = use.epoch % job.spec->dataset.views;
    request.format = job.spec->soft_target_format();
    request.teacher_digest = job.teacher_digest;
    requests.push_back(std::move(request));
  }
  return requests;
}

// (pixel - mean) / deviation by channel, in place.
void NormaliseImage(const ModelCard& card, const ImageShape& shape, float* image) {
  const int64_t plane = shape.height * shape.width;
  for (int64_t channel = 0; channel < shape.channels; ++channel) {
    const float mean = card.mean[static_cast<size_t>(channel)];
    const float deviation = card.deviation[static_cast<size_t>(channel)];
    float* const pixels = image + channel * plane;
    for (int64_t i = 0; i < plane; ++i) pixels[i] = (pixels[i] - mean) / deviation;
  }
}

at::Tensor HostTensor(at::IntArrayRef shape, at::ScalarType type, DeviceRuntime* device) {
  return device == nullptr ? torch::empty(shape, type) : device->PinnedTensor(shape, type);
}

}  // namespace

TrainBatch::TrainBatch(int64_t batch_size, const ImageShape& shape, TargetBatch empty,
                       DeviceRuntime* device)
    : inputs(HostTensor({batch_size, shape.channels, shape.height, shape.width}, torch::kFloat32,
                        device)),
      labels(HostTensor({batch_size}, torch::kInt64, device)),
      targets(std::move(empty)) {}

BatchLoader::BatchLoader(const TrainJob& job, const SampleSelection& selection,
                         std::vector<ShardUse> uses, Augmentation augmentation,
                         DeviceRuntime* device)
    : job_(job), selection_(selection), uses_(std::move(uses)), free_(kBatches), ready_(kBatches) {
  view_.augmentation = std::move(augmentation);
  view_.seed = job.spec->seed;
  for (size_t i = 0; i < kBatches; ++i) {
    const int64_t size = job.spec->training.batch_size;
    TargetBatch targets(size, job.dataset->class_count(), job.spec->soft_target_format());
    (void)free_.Push(
        std::make_unique<TrainBatch>(size, job.dataset->shape(), std::move(targets), device));
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
    filling_->labelled = 0;
  }
  TrainBatch& batch = *filling_;
  const ImageShape& shape = job_.dataset->shape();
  float* const image = batch.inputs.data_ptr<float>() + batch.size * shape.size();
  DISTILLERY_RETURN_IF_ERROR(LoadPixels(*job_.dataset, {row}, view_, image));
  NormaliseImage(*job_.card, shape, image);
  const int32_t label = selection_.Label(row);
  batch.labels.data_ptr<int64_t>()[batch.size] = label;
  if (label != SampleSelection::kNoLabel) ++batch.labelled;
  if (soft.row_count > 0) batch.targets.Set(batch.size, soft, soft_row);
  ++batch.size;
  return absl::OkStatus();
}

absl::Status BatchLoader::HandOver() {
  Loaded loaded;
  loaded.batch = std::move(filling_);
  if (prefetcher_.has_value()) loaded.teacher_waited = prefetcher_->waited();
  if (!ready_.Push(std::move(loaded))) return absl::CancelledError("training has ended");
  return absl::OkStatus();
}

}  // namespace distillery
