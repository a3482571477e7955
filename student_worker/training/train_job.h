// What one training task is about.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "common/data/dataset.h"
#include "common/model/card.h"
#include "common/run/run_spec.h"
#include "common/weights/weights.h"
#include "student_worker/teachers/soft_target_source.h"

namespace distillery {

class DeviceRuntime;

struct TrainJob {
  const RunSpec* spec = nullptr;
  int64_t round = 0;
  int64_t replica = 0;
  // W_r.
  const Weights* weights = nullptr;
  const ModelCard* card = nullptr;
  const Dataset* dataset = nullptr;
  // The student's TorchScript file, if it is no built-in architecture.
  std::string student_file;
  // Null if the spec needs no teacher.
  SoftTargetSource* teacher = nullptr;
  // Empty: any.
  std::string teacher_digest;
  const std::atomic<bool>* cancel = nullptr;
  // Told the samples seen so far after each step.
  std::function<void(int64_t)> progress;
  // "cpu", "cuda" or "cuda:N".
  std::string device = "cpu";
  // What "cuda" means; null: what LibTorch sees.
  DeviceRuntime* devices = nullptr;
};

}  // namespace distillery
