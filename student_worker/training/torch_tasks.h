// The tasks of a worker that need LibTorch, behind headers that do not.
#pragma once

#include <atomic>
#include <string>

#include "absl/status/statusor.h"
#include "student_worker/training/trainer.h"

namespace distillery {

struct EvaluationJob {
  const RunSpec* spec = nullptr;
  const Weights* weights = nullptr;
  const ModelCard* card = nullptr;
  const Dataset* dataset = nullptr;
  // The student's TorchScript file, if it is no built-in architecture.
  std::string student_file;
  // Null: agreement is not measured.
  SoftTargetSource* teacher = nullptr;
  std::string teacher_digest;
  const std::atomic<bool>* cancel = nullptr;
  // "cpu", "cuda" or "cuda:N".
  std::string device = "cpu";
  // As in TrainJob.
  DeviceRuntime* devices = nullptr;
};

// How well the weights do on the data. CANCELLED when *cancel becomes true.
absl::StatusOr<EvaluationMetrics> EvaluateWeights(const EvaluationJob& job);

// NumericsFingerprint of common/nn/numerics.h for the device, or why the device cannot be used.
absl::StatusOr<std::string> ComputeFingerprint(const std::string& device,
                                               DeviceRuntime* devices = nullptr);

}  // namespace distillery
