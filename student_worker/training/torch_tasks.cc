#include "student_worker/training/torch_tasks.h"

#include <torch/script.h>

#include "common/base/status_macros.h"
#include "common/nn/device.h"
#include "common/nn/evaluation.h"
#include "common/nn/module_weights.h"
#include "common/nn/numerics.h"
#include "common/nn/student.h"
#include "common/weights/optimizer_state.h"

namespace distillery {

absl::StatusOr<EvaluationMetrics> EvaluateWeights(const EvaluationJob& job) {
  ConfigureTorch(job.spec->compute_threads);
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildStudent({job.spec->student.architecture, job.student_file, job.spec->student.digest},
                   *job.card, /*seed=*/std::nullopt));
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(ModelPart(*job.weights), module));
  DISTILLERY_ASSIGN_OR_RETURN(const ComputeDevice device, ParseDevice(job.device, job.devices));
  DISTILLERY_RETURN_IF_ERROR(CatchTorchErrors([&] {
    if (!device.is_cpu()) module.to(device.tensors);
    return absl::OkStatus();
  }));
  TeacherLogits teacher;
  if (job.teacher != nullptr) {
    teacher = [&](int64_t shard, int64_t count, std::vector<float>* rows) {
      ShardRequest request;
      request.dataset = job.dataset->reference();
      request.dataset_digest = job.dataset->digest();
      request.shard = shard;
      request.row_count = count;
      request.class_count = job.dataset->class_count();
      request.answer = job.dataset->spec().answer;
      request.teacher_digest = job.teacher_digest;
      SoftTargetRows soft;
      DISTILLERY_RETURN_IF_ERROR(job.teacher->ReadShard(
          &request, [&] { return job.cancel->load(); }, &soft));
      *rows = std::move(soft.values);
      return absl::OkStatus();
    };
  }
  return EvaluateModel(module, *job.card, *job.dataset, teacher, *job.cancel);
}

absl::StatusOr<std::string> ComputeFingerprint(const std::string& device, DeviceRuntime* devices) {
  DISTILLERY_ASSIGN_OR_RETURN(const ComputeDevice parsed, ParseDevice(device, devices));
  return NumericsFingerprint(parsed.kind);
}

}  // namespace distillery
