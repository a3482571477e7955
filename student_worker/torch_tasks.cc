#include "student_worker/torch_tasks.h"

#include <torch/script.h>

#include "common/base/status_macros.h"
#include "common/model/evaluation.h"
#include "common/model/module_weights.h"
#include "common/model/numerics.h"
#include "common/model/student.h"

namespace distillery {

absl::StatusOr<EvaluationMetrics> EvaluateWeights(const EvaluationJob& job) {
  ConfigureTorch(job.spec->compute_threads);
  DISTILLERY_ASSIGN_OR_RETURN(
      torch::jit::Module module,
      BuildStudent({job.spec->student.architecture, job.student_file, job.spec->student.digest},
                   *job.card, job.spec->seed));
  DISTILLERY_RETURN_IF_ERROR(LoadWeights(*job.weights, module));
  TeacherLogits teacher;
  if (job.teacher != nullptr) {
    teacher = [&](int64_t shard, int64_t count, std::vector<float>* rows) {
      ShardRequest request;
      request.dataset = job.dataset->reference();
      request.dataset_digest = job.dataset->digest();
      request.shard = shard;
      request.row_count = count;
      request.class_count = job.dataset->class_count();
      request.teacher_digest = job.teacher_digest;
      SoftTargetRows soft;
      DISTILLERY_RETURN_IF_ERROR(
          job.teacher->ReadShard(&request, [&] { return job.cancel->load(); }, &soft));
      *rows = std::move(soft.values);
      return absl::OkStatus();
    };
  }
  return EvaluateModel(module, *job.card, *job.dataset, teacher, *job.cancel);
}

std::string ComputeFingerprint() { return NumericsFingerprint(); }

}  // namespace distillery
