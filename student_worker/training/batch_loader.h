// Makes a training task's batches in a thread of its own, ahead of training: reads and augments
// samples, normalises them, and gathers the soft targets that a Prefetcher streams. At most three
// batches exist at a time, and no more than three shards of soft targets.
//
// Batches are cut at fixed places of the replica's stream of samples, so they do not depend on
// timing.
//
// Threads: the public methods by one thread. The destructor stops loading and joins.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/bounded_queue.h"
#include "common/data/augmentation.h"
#include "common/nn/device_runtime.h"
#include "common/run/replica_plan.h"
#include "common/run/sample_selection.h"
#include "student_worker/training/prefetcher.h"
#include "student_worker/training/target_batch.h"
#include "student_worker/training/train_job.h"

namespace distillery {

struct TrainBatch {
  // Inputs as the model of the card takes them, labels as the data set has them.
  TrainBatch(const ModelCard& card, const Dataset& dataset, int64_t batch_size, TargetBatch empty,
             DeviceRuntime* device);
  // Those of the samples that the batch holds.
  std::vector<at::Tensor> Inputs() const;
  at::Tensor Labels() const { return labels.narrow(0, 0, size); }
  // Which of their positions count, on the CPU; undefined: all.
  at::Tensor Mask() const;

  // For each input of the data set [batch size, sizes of the input...], normalised.
  std::vector<at::Tensor> inputs;
  // As LoadedSamples::labels of the batch size; where nothing is to be learned from a label, -100
  // or NaN.
  at::Tensor labels;
  // Bool [batch size, positions]: those that have a label in the data set.
  at::Tensor mask;
  TargetBatch targets;
  // Samples in the batch.
  int64_t size = 0;
  // Answers that count: positions of samples, or samples; and those with a label.
  int64_t answers = 0;
  int64_t labelled = 0;
  // Where its first sample lies.
  int64_t first_shard = 0;
};

class BatchLoader {
 public:
  // `job` and `selection` must outlive this. `device`: that batches are copied to; null on a
  // CPU.
  BatchLoader(const TrainJob& job, const SampleSelection& selection, std::vector<ShardUse> uses,
              Augmentation augmentation, DeviceRuntime* device);
  ~BatchLoader();

  // The next batch, waiting for it; null after the last. Errors of the soft targets and the data.
  absl::StatusOr<std::unique_ptr<TrainBatch>> Next();
  // Gives a batch back to be filled again.
  void Recycle(std::unique_ptr<TrainBatch> batch);

  // The digest of the teacher whose soft targets came; "" without one. After the last batch.
  const std::string& teacher_digest() const { return teacher_digest_; }
  // How long Next has waited for soft targets, and for samples.
  absl::Duration teacher_waited() const { return teacher_waited_; }
  absl::Duration data_waited() const { return data_waited_; }

 private:
  struct Loaded {
    std::unique_ptr<TrainBatch> batch;
    // How long the loader has waited for soft targets in all.
    absl::Duration teacher_waited;
  };
  // The body of the thread.
  absl::Status Load();
  absl::Status AddShard(const ShardUse& use, const SoftTargetRows& soft);
  // Appends one sample to the batch under way; hands the batch over when it is full.
  absl::Status Append(int64_t row, const SoftTargetRows& soft, int64_t soft_row);
  // Counts the labels of the sample at this place of the batch, and takes them away if the student
  // is not to see them.
  void TakeLabels(int64_t row, int64_t place);
  // CANCELLED if nobody wants it any more.
  absl::Status HandOver();

  const TrainJob& job_;
  const SampleSelection& selection_;
  const std::vector<ShardUse> uses_;
  View view_;
  // Numbers of a sample's label.
  const int64_t label_count_;
  BoundedQueue<std::unique_ptr<TrainBatch>> free_;
  BoundedQueue<absl::StatusOr<Loaded>> ready_;
  // Used by the thread until it ends.
  std::unique_ptr<TrainBatch> filling_;
  std::optional<Prefetcher> prefetcher_;
  std::string teacher_digest_;
  // Used by Next.
  absl::Duration teacher_waited_;
  absl::Duration data_waited_;
  absl::Duration loader_waited_;
  // Last: it uses the others.
  std::thread thread_;
};

}  // namespace distillery
