// Coordinator::ListLeases: the past of a run's tasks, from the record.
#include "common/base/status_macros.h"
#include "coordinator/coordinator.h"

namespace distillery {

absl::StatusOr<std::vector<LeaseView>> Coordinator::ListLeases(const std::string& run_id,
                                                               int64_t after, int64_t limit) {
  MutexLock lock(mutex_);
  DISTILLERY_RETURN_IF_ERROR(FindRun(run_id).status());
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<LeaseRow> rows, record_->LeasesOf(run_id, after, limit));
  std::vector<LeaseView> views;
  for (LeaseRow& row : rows) {
    LeaseView& view = views.emplace_back();
    view.row = std::move(row);
    const Lease& lease = view.row.lease;
    const WorkerEntry* const worker = workers_.Find(lease.worker_id);
    // The name of one that is forgotten went with it.
    view.worker_name = worker == nullptr ? lease.worker_id : worker->row.name;
    if (lease.task.kind != TaskKind::kTrain || view.row.outcome != "done") continue;
    const absl::StatusOr<TaskRow> task = record_->TaskOf(lease.task);
    if (absl::IsNotFound(task.status())) continue;
    DISTILLERY_RETURN_IF_ERROR(task.status());
    if (task->done && task->worker_id == lease.worker_id) view.metrics = task->metrics;
  }
  return views;
}

}  // namespace distillery
