#include "student_worker/rpc/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/metric_family.h>

#include <map>
#include <string>

namespace distillery {
namespace {

// Values by name, and by name and labels as in "tasks_total train done".
std::map<std::string, double> Values(const WorkerStatistics& statistics) {
  std::map<std::string, double> values;
  for (const auto& family : WorkerMetrics(&statistics, "w").Collect()) {
    for (const auto& metric : family.metric) {
      std::string name = family.name.substr(std::string("distillery_worker_").size());
      for (const auto& label : metric.label) name += " " + label.value;
      values[name] = family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                                    : metric.gauge.value;
    }
  }
  return values;
}

TaskId Task(TaskKind kind, int64_t round, int64_t replica) {
  TaskId task;
  task.run_id = "first";
  task.kind = kind;
  task.round = round;
  task.replica = replica;
  return task;
}

TEST(WorkerMetrics, BeforeTheFirstTaskAllIsThereAndZero) {
  FakeClock clock;
  WorkerStatistics statistics(&clock);
  const auto values = Values(statistics);
  EXPECT_EQ(values.at("connected"), 0);
  EXPECT_EQ(values.at("tasks_total train done"), 0);
  EXPECT_EQ(values.at("tasks_total evaluate failed"), 0);
  EXPECT_EQ(values.at("task_round"), -1);
  EXPECT_EQ(values.count("task_info first"), 0);
  EXPECT_EQ(values.at("name_info w"), 1);
}

TEST(WorkerMetrics, TellTheTaskThatIsBeingDone) {
  FakeClock clock;
  WorkerStatistics statistics(&clock);
  statistics.SetConnected(true);
  statistics.TaskBegins(Task(TaskKind::kTrain, 4, 2));
  statistics.SetWaiting(true);
  statistics.AddTrainedSamples(64);
  auto values = Values(statistics);
  EXPECT_EQ(values.at("connected"), 1);
  EXPECT_EQ(values.at("task_info first"), 1);
  EXPECT_EQ(values.at("active_tasks train"), 1);
  EXPECT_EQ(values.at("active_tasks evaluate"), 0);
  EXPECT_EQ(values.at("task_round"), 4);
  EXPECT_EQ(values.at("task_replica"), 2);
  EXPECT_EQ(values.at("waiting"), 1);
  EXPECT_EQ(values.at("trained_samples_total"), 64);
  EXPECT_EQ(values.at("tasks_total train done"), 0);

  clock.Advance(absl::Seconds(7));
  statistics.TaskEnds(TaskOutcome::kDropped);
  values = Values(statistics);
  EXPECT_EQ(values.count("task_info first"), 0);
  EXPECT_EQ(values.at("active_tasks train"), 0);
  EXPECT_EQ(values.at("task_replica"), -1);
  EXPECT_EQ(values.at("waiting"), 0);
  EXPECT_EQ(values.at("tasks_total train dropped"), 1);
  EXPECT_EQ(values.at("task_seconds_total train"), 7);
  EXPECT_EQ(values.at("trained_samples_total"), 64) << "work that was lost was work";
}

TEST(WorkerMetrics, SumOverTasks) {
  FakeClock clock;
  WorkerStatistics statistics(&clock);
  for (int i = 1; i <= 2; ++i) {
    statistics.TaskBegins(Task(TaskKind::kTrain, i, 0));
    TrainMetrics metrics;
    metrics.seconds = 10;
    metrics.teacher_wait_seconds = 2;
    metrics.data_wait_seconds = 1;
    metrics.teacher_failover_count = 3;
    statistics.AddTraining(metrics);
    statistics.AddUpload(100);
    statistics.AddDownload(50);
    statistics.TaskEnds(TaskOutcome::kDone);
  }
  statistics.TaskBegins(Task(TaskKind::kEvaluate, 2, 0));
  statistics.AddEvaluatedSamples(397);
  statistics.TaskEnds(TaskOutcome::kFailed);
  const auto values = Values(statistics);
  EXPECT_EQ(values.at("training_seconds_total"), 20);
  EXPECT_EQ(values.at("teacher_wait_seconds_total"), 4);
  EXPECT_EQ(values.at("data_wait_seconds_total"), 2);
  EXPECT_EQ(values.at("teacher_failovers_total"), 6);
  EXPECT_EQ(values.at("uploads_total"), 2);
  EXPECT_EQ(values.at("uploaded_bytes_total"), 200);
  EXPECT_EQ(values.at("downloaded_bytes_total"), 100);
  EXPECT_EQ(values.at("evaluated_samples_total"), 397);
  EXPECT_EQ(values.at("tasks_total train done"), 2);
  EXPECT_EQ(values.at("tasks_total evaluate failed"), 1);
}

}  // namespace
}  // namespace distillery
