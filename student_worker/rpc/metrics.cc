#include "student_worker/rpc/metrics.h"

#include "common/rpc/metric_list.h"

namespace distillery {

std::vector<prometheus::MetricFamily> WorkerMetrics::Collect() const {
  const WorkerStatistics::Snapshot now = statistics_->snapshot();
  MetricList list("distillery_worker_");
  const auto count = [&](const char* metric, const char* help, auto value) {
    list.Counter(metric, help, static_cast<double>(value));
  };
  const auto gauge = [&](const char* metric, const char* help, auto value) {
    list.Gauge(metric, help, static_cast<double>(value));
  };
  list.AddBuildInfo();
  list.Gauge("name_info", "Always 1; the label says the name in the coordinator's record.", 1,
             {{"worker", name_}});
  gauge("connected", "1 if the coordinator answered the last call, else 0.", now.connected ? 1 : 0);
  for (const TaskKind kind : kTaskKinds) {
    const std::string kind_name(TaskKindName(kind));
    for (const TaskOutcome outcome : kTaskOutcomes) {
      const auto found = now.tasks.find({kind, outcome});
      list.Counter("tasks_total",
                   "Tasks that ended, by outcome; dropped: the lease ended first, released: given "
                   "back at a stop.",
                   static_cast<double>(found == now.tasks.end() ? 0 : found->second),
                   {{"kind", kind_name}, {"outcome", std::string(TaskOutcomeName(outcome))}});
    }
    const auto time = now.task_time.find(kind);
    list.Counter("task_seconds_total", "Seconds from the lease to the end, summed over tasks.",
                 time == now.task_time.end() ? 0 : absl::ToDoubleSeconds(time->second),
                 {{"kind", kind_name}});
    // Not the round and replica: each would be a time series of its own.
    list.Gauge("active_tasks", "1 if such a task is being done, else 0.",
               now.task.has_value() && now.task->kind == kind ? 1 : 0, {{"kind", kind_name}});
  }
  if (now.task.has_value()) {
    list.Gauge("task_info", "1 while a task is being done; the label says of which run.", 1,
               {{"run", now.task->run_id}});
  }
  gauge("task_round", "Round of the task being done; -1: none.",
        now.task.has_value() ? now.task->round : -1);
  gauge("task_replica", "Replica of the task being done; -1: none.",
        now.task.has_value() ? now.task->replica : -1);
  gauge("waiting", "1 while the task waits for a teacher or for data, else 0.",
        now.waiting ? 1 : 0);
  count("trained_samples_total", "Samples trained on, those of tasks that were lost as well.",
        now.trained_samples);
  count("evaluated_samples_total", "Samples that students were evaluated on.",
        now.evaluated_samples);
  count("training_seconds_total",
        "Seconds of training, waits included, summed over tasks trained to the end.",
        now.training_seconds);
  count("teacher_wait_seconds_total", "Seconds thereof in which training waited for soft targets.",
        now.teacher_wait_seconds);
  count("data_wait_seconds_total", "Seconds thereof in which training waited for samples.",
        now.data_wait_seconds);
  count("teacher_failovers_total", "Times that training went on at another teacher.",
        now.teacher_failovers);
  count("uploads_total", "Results that the coordinator has taken.", now.uploads);
  count("uploaded_bytes_total", "Bytes of these results.", now.uploaded_bytes);
  count("downloaded_bytes_total", "Bytes of the weights fetched, as float32.",
        now.downloaded_bytes);
  return list.Take();
}

}  // namespace distillery
