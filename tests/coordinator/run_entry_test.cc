#include "coordinator/run_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace distillery {
namespace {

using ::testing::ElementsAre;

RunEntry MakeRun(int64_t rounds, int64_t replicas, int64_t every_rounds) {
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.rounds = rounds;
  spec.training.replicas = replicas;
  spec.training.local_epochs = 1;
  spec.evaluation.every_rounds = every_rounds;
  RunRow row;
  row.run_id = "r";
  return RunEntry(row, spec);
}

// What a run looks like after `completed` rounds.
RunEntry StartedRun(int64_t completed, int64_t every_rounds = 0) {
  RunEntry run = MakeRun(4, 2, every_rounds);
  run.row.state = RunState::kRunning;
  run.row.weights_sha256 = "w";
  run.row.completed_rounds = completed;
  return run;
}

std::vector<std::string> Tasks(const RunEntry& run) {
  std::vector<std::string> names;
  for (const auto& [key, task] : run.tasks) names.push_back(task.row.task.ToString());
  return names;
}

bool Any(const TaskEntry& /*task*/) { return true; }

TEST(RunEntry, WithoutWeightsThereIsOnlyTheInitialiseTask) {
  RunEntry run = MakeRun(2, 3, 1);
  run.MakeTasks();
  EXPECT_THAT(Tasks(run), ElementsAre("r initialise round 0 replica 0"));
  EXPECT_FALSE(run.ReadyToAverage(absl::ZeroDuration()));
  EXPECT_FALSE(run.Complete());
}

TEST(RunEntry, EachReplicaOfThePresentRoundIsATask) {
  RunEntry run = StartedRun(1);
  run.MakeTasks();
  EXPECT_THAT(Tasks(run), ElementsAre("r train round 1 replica 0", "r train round 1 replica 1"));
}

TEST(RunEntry, EvaluationsAreDoneFirst) {
  RunEntry run = StartedRun(1, /*every_rounds=*/1);
  run.MakeTasks();
  EXPECT_EQ(run.NextFree(Any)->row.task, (TaskId{"r", TaskKind::kEvaluate, 1, 0}));
}

TEST(RunEntry, LeasedAndDoneTasksAreNotFree) {
  RunEntry run = StartedRun(0);
  run.MakeTasks();
  run.Find({"r", TaskKind::kTrain, 0, 0})->tokens = {7};
  EXPECT_EQ(run.NextFree(Any)->row.task.replica, 1);
  run.Find({"r", TaskKind::kTrain, 0, 1})->row.done = true;
  EXPECT_EQ(run.NextFree(Any), nullptr);
}

TEST(RunEntry, IsReadyToAverageWhenEveryReplicaIsIn) {
  RunEntry run = StartedRun(0);
  run.MakeTasks();
  run.Find({"r", TaskKind::kTrain, 0, 0})->row.done = true;
  EXPECT_FALSE(run.ReadyToAverage(absl::ZeroDuration()));
  run.Find({"r", TaskKind::kTrain, 0, 1})->row.done = true;
  EXPECT_TRUE(run.ReadyToAverage(absl::ZeroDuration()));
}

TEST(RunEntry, AfterTheLastRoundOnlyItsEvaluationIsLeft) {
  RunEntry run = StartedRun(4);
  run.MakeTasks();
  EXPECT_THAT(Tasks(run), ElementsAre("r evaluate round 4 replica 0"));
  EXPECT_FALSE(run.Complete());
  run.evaluations[4] = {};
  run.tasks.clear();
  EXPECT_TRUE(run.Complete());
}

// Two workers may finish two evaluations in either order.
TEST(RunEntry, AnOlderEvaluationIsNotForgottenWhenANewerOneIsIn) {
  RunEntry run = StartedRun(3, /*every_rounds=*/1);
  run.evaluations[1] = {};
  run.evaluations[3] = {};
  run.MakeTasks();
  EXPECT_THAT(run.RoundsToEvaluate(), ElementsAre(2));
}

TEST(RunEntry, AnEndedRunMakesNoTasks) {
  RunEntry run = StartedRun(1);
  run.row.state = RunState::kCancelled;
  run.MakeTasks();
  EXPECT_THAT(Tasks(run), ElementsAre());
}

TEST(RunPace, RateCountsTheSamplesOfTheLastTenSeconds) {
  RunPace pace;
  EXPECT_EQ(pace.SamplesPerSecond(absl::Seconds(100), /*ended=*/false), 0);
  pace.NoteSamples(0, absl::Seconds(100));
  pace.NoteSamples(50, absl::Seconds(102));
  pace.NoteSamples(30, absl::Seconds(104));
  // 80 samples in the 4 seconds since measuring began.
  EXPECT_DOUBLE_EQ(pace.SamplesPerSecond(absl::Seconds(104), /*ended=*/false), 20);
  // Nine seconds later the first two marks have left the window: 40 samples in those 9 seconds.
  pace.NoteSamples(40, absl::Seconds(113));
  EXPECT_DOUBLE_EQ(pace.SamplesPerSecond(absl::Seconds(113), /*ended=*/false), 40.0 / 9);
  // Later a run that goes on gets slower; of one that has ended the rate stays.
  EXPECT_DOUBLE_EQ(pace.SamplesPerSecond(absl::Seconds(122), /*ended=*/false), 40.0 / 18);
  EXPECT_DOUBLE_EQ(pace.SamplesPerSecond(absl::Seconds(122), /*ended=*/true), 40.0 / 9);
}

TEST(RunEntry, ADeltaFarLongerThanTheLastRoundsIsNamed) {
  RunRow row;
  row.state = RunState::kRunning;
  row.completed_rounds = 3;
  RunSpec spec;
  spec.averaging.max_norm_ratio = 10;
  RunEntry run(row, spec);
  // Nothing to compare with yet.
  EXPECT_TRUE(run.CheckNorms({1e9}).ok());
  for (const double norm : {1.0, 3.0, 2.0}) {
    RoundRow round;
    round.delta_norm = norm;
    run.rounds.push_back(round);
  }
  EXPECT_TRUE(run.CheckNorms({20, 0}).ok());
  const absl::Status status = run.CheckNorms({1, 21});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              ::testing::AllOf(::testing::HasSubstr("round 3, replica 1"),
                               ::testing::HasSubstr("norm 21")));
  run.accepted_round = 3;
  EXPECT_TRUE(run.CheckNorms({1, 21}).ok());
}

TEST(MedianOf, IsTheMiddle) {
  EXPECT_EQ(MedianOf({}), 0);
  EXPECT_EQ(MedianOf({3}), 3);
  EXPECT_EQ(MedianOf({5, 1, 3}), 3);
  EXPECT_EQ(MedianOf({4, 1, 3, 2}), 2.5);
}

}  // namespace
}  // namespace distillery
