// Fault 31: files of the state folder that are missing or not as the record says.
#include <fstream>

#include "common/base/files.h"
#include "coordinator/coordinator.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class DamagedFiles : public CoordinatorTest {
 protected:
  // Flips one bit of the file's last byte.
  void Flip(const std::string& name) {
    std::fstream file(StateFile(name), std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(file.good()) << name;
    file.seekg(-1, std::ios::end);
    const auto last = static_cast<char>(file.peek() ^ 1);
    file.seekp(-1, std::ios::end);
    file.put(last);
  }
  void Remove(const std::string& name) {
    ASSERT_TRUE(std::filesystem::remove(StateFile(name))) << name;
  }
  std::string Sha256OfFile(const std::string& name) {
    return Sha256Hex(*ReadFile(StateFile(name), 1 << 20));
  }
  static std::string WeightsName(const std::string& run_id, int round) {
    return "weights/" + run_id + "/0000000" + std::to_string(round) + ".safetensors";
  }
  std::vector<std::string> Spooled(const std::string& run_id) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(StateFile("spool/" + run_id))) {
      names.push_back("spool/" + run_id + "/" + entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  int64_t Alarms(const std::string& file) {
    return coordinator_->statistics().Of(Count::kDigestFailures, file);
  }
  int64_t Repairs(const std::string& file) {
    return coordinator_->statistics().Of(Count::kDigestRepairs, file);
  }
  // Both replicas of the present round, not averaged.
  void SendRound(const std::string& a, const std::string& b) {
    const std::string worker = Register();
    ASSERT_THAT(Send(Take(worker).lease, a), IsOk());
    ASSERT_THAT(Send(Take(worker).lease, b), IsOk());
  }
  // Three rounds, an outer optimizer with both moments.
  static RunSpec LongSpec() {
    RunSpec spec = SmallSpec();
    spec.training.rounds = 3;
    spec.outer.optimizer = "adam";
    spec.outer.learning_rate = 0.1;
    spec.outer.momentum = 0.9;
    spec.outer.beta2 = 0.99;
    spec.outer.epsilon = 1e-3;
    return spec;
  }

  const std::string a_ = ModelFile({1, 0}, 0.5, 1);
  const std::string b_ = ModelFile({0, 4}, 0.25, 2);
};

TEST_F(DamagedFiles, Fault31_DamagedDeltaIsNeverAveragedAndItsTaskIsDoneAgain) {
  for (const bool missing : {false, true}) {
    const std::string run_id = StartRun(SmallSpec());
    SendRound(a_, b_);
    const auto spooled = Spooled(run_id);
    ASSERT_EQ(spooled.size(), 2);
    missing ? Remove(spooled[1]) : Flip(spooled[1]);
    ASSERT_TRUE(coordinator_->AverageNext());
    EXPECT_EQ(Run(run_id).row.completed_rounds, 0) << "nothing was averaged";
    EXPECT_EQ(Alarms("delta"), missing ? 2 : 1);
    const TaskGrant again = Take(Register());
    EXPECT_EQ(again.lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 1}));
    ASSERT_THAT(Send(again.lease, b_), IsOk());
    ASSERT_TRUE(coordinator_->AverageNext());
    EXPECT_EQ(Repairs("delta"), missing ? 2 : 1);
    ASSERT_OK_AND_ASSIGN(const std::vector<RoundView> rounds, coordinator_->runs().Rounds(run_id));
    ASSERT_EQ(rounds.size(), 1);
    EXPECT_EQ(rounds[0].row.metrics.sample_count, 200) << "each replica counted once";
    // W_0 + mean, as the undisturbed round gives it.
    ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id, 1));
    EXPECT_EQ(BytesOf(weights), ModelFile({1.5, 4}, 0.375, 1));
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
}

// The system reads no folder as a file, whatever rights the test has.
TEST_F(DamagedFiles, ADeltaThatCannotBeReadIsDoneAgain) {
  const std::string run_id = StartRun(SmallSpec());
  SendRound(a_, b_);
  const std::string delta = StateFile(Spooled(run_id)[1]);
  ASSERT_THAT(RemoveFile(delta), IsOk());
  std::filesystem::create_directory(delta);
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Take(Register()).lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 1}));
}

TEST_F(DamagedFiles, AnAverageThatWaitsForAPersonHoldsUpNoOther) {
  const std::string run_id = StartRun(LongSpec());
  SendRound(a_, b_);
  const std::string weights = StateFile(WeightsName(run_id, 0));
  std::filesystem::rename(weights, weights + ".away");
  std::filesystem::create_directory(weights);
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_THAT(Run(run_id).row.state_reason, HasSubstr("averaging waits"));
  EXPECT_FALSE(coordinator_->AverageNext()) << "not at once again";
  const std::string other = StartRun(SmallSpec());
  SendRound(a_, b_);
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(other).row.completed_rounds, 1);
  std::filesystem::remove(weights);
  std::filesystem::rename(weights + ".away", weights);
  EXPECT_FALSE(coordinator_->AverageNext());
  clock_.Advance(absl::Seconds(2));
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
}

TEST_F(DamagedFiles, Fault31_TheRecordSaysAfterARestartThatTheTaskIsOpen) {
  const std::string run_id = StartRun(SmallSpec());
  SendRound(a_, b_);
  Flip(Spooled(run_id)[0]);
  ASSERT_TRUE(coordinator_->AverageNext());
  ReopenOn(CrashImage());
  EXPECT_FALSE(coordinator_->AverageNext());
  EXPECT_EQ(Take(Register()).lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 0}));
}

TEST_F(DamagedFiles, Fault31_NewestWeightsAreRebuiltFromTheSpoolToTheSameBytes) {
  for (const bool missing : {false, true}) {
    const std::string run_id = StartRun(LongSpec());
    TrainRound({a_, b_});
    TrainRound({b_, a_});
    const std::string w2 = WeightsName(run_id, 2);
    const std::string undisturbed = Sha256OfFile(w2);
    missing ? Remove(w2) : Flip(w2);
    Reopen();
    EXPECT_EQ(Alarms("weights"), 1);
    EXPECT_EQ(Run(run_id).row.completed_rounds, 2) << "the round number never goes back";
    ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register()));
    EXPECT_FALSE(answer.grant.has_value()) << "nobody trains from damaged weights";
    ASSERT_TRUE(coordinator_->AverageNext());
    EXPECT_EQ(Repairs("weights"), 1);
    EXPECT_EQ(Sha256OfFile(w2), undisturbed);
    TrainRound({a_, b_});
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
}

TEST_F(DamagedFiles, Fault31_MomentsOfTheOuterOptimizerAreRebuiltToo) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  TrainRound({b_, a_});
  for (const std::string part : {"momentum", "variance"}) {
    const std::string name = "weights/" + run_id + "/00000002." + part + ".safetensors";
    const std::string undisturbed = Sha256OfFile(name);
    Flip(name);
    Reopen();
    ASSERT_TRUE(coordinator_->AverageNext());
    EXPECT_EQ(Sha256OfFile(name), undisturbed);
    EXPECT_EQ(Repairs("weights"), 1);
  }
}

TEST_F(DamagedFiles, Fault31_WeightsDamagedWhileItRunsAreFoundBeforeTheyAreAveraged) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  const std::string undisturbed = Sha256OfFile(WeightsName(run_id, 1));
  SendRound(b_, a_);
  Flip(WeightsName(run_id, 1));
  ASSERT_TRUE(coordinator_->AverageNext());  // finds it
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
  EXPECT_EQ(Alarms("weights"), 1);
  ASSERT_TRUE(coordinator_->AverageNext());  // rebuilds W_1
  EXPECT_EQ(Sha256OfFile(WeightsName(run_id, 1)), undisturbed);
  ASSERT_TRUE(coordinator_->AverageNext());  // W_2
  EXPECT_EQ(Run(run_id).row.completed_rounds, 2);
}

TEST_F(DamagedFiles, Fault31_LostWeightsAreRebuiltWhenAWorkerAsksForThem) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  Remove(WeightsName(run_id, 1));
  EXPECT_THAT(coordinator_->weights().Open(run_id, 1),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rebuilt")));
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_THAT(coordinator_->weights().Open(run_id, 1), IsOk());
}

TEST_F(DamagedFiles, Fault31_InitialWeightsAreMadeAgainAndTheirRoundIsTrainedAnew) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease old = Take(Register()).lease;
  ASSERT_THAT(Send(Take(Register()).lease, b_), IsOk());
  Flip(WeightsName(run_id, 0));
  Reopen();
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPending);
  EXPECT_THAT(Send(old, a_), StatusIs(absl::StatusCode::kAborted)) << "trained from what is gone";
  const TaskGrant grant = Take(Register());
  EXPECT_EQ(grant.lease.task, (TaskId{run_id, TaskKind::kInitialise, 0, 0}));
  ASSERT_THAT(Send(grant.lease, ModelFile({1, 2})), IsOk());
  TrainRound({a_, b_});
  EXPECT_EQ(Run(run_id).row.completed_rounds, 1);
}

TEST_F(DamagedFiles, Fault31_WhatCannotBeRebuiltPausesTheRunUntilTheFileIsPutBack) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  const std::string w1 = WeightsName(run_id, 1);
  std::filesystem::copy(StateFile(w1), folder_.File("copy"));
  Flip(w1);
  Flip(Spooled(run_id)[0]);
  Reopen();
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason,
              AllOf(HasSubstr("weights of round 1 are damaged"), HasSubstr("resume")));
  // Resumed too early it pauses again.
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  std::filesystem::copy(folder_.File("copy"), StateFile(w1),
                        std::filesystem::copy_options::overwrite_existing);
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Repairs("weights"), 1);
  TrainRound({a_, b_});
  EXPECT_EQ(Run(run_id).row.completed_rounds, 2);
}

TEST_F(DamagedFiles, Fault31_EndedRunsAreLeftAlone) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  Flip(WeightsName(run_id, 1));
  Reopen();
  EXPECT_EQ(Alarms("weights"), 0);
  EXPECT_FALSE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kCancelled);
}

TEST_F(DamagedFiles, Fault29_GarbageAtTheEndOfTheLogLeavesTheLastCommittedTransaction) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string image = CrashImage();
  const std::string log = image + "/record.sqlite3-wal";
  const auto committed = std::filesystem::file_size(log);
  ASSERT_GT(committed, 0);
  for (const size_t garbage : {1U, 24U, 4096U, 20'000U}) {
    std::filesystem::resize_file(log, committed);
    std::ofstream(log, std::ios::binary | std::ios::app) << std::string(garbage, '\x5A');
    const std::string copy = image + "-" + std::to_string(garbage);
    std::filesystem::copy(image, copy, std::filesystem::copy_options::recursive);
    ReopenOn(copy);
    EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
    EXPECT_EQ(Take(Register()).lease.task, (TaskId{run_id, TaskKind::kTrain, 0, 0}));
  }
}

TEST_F(DamagedFiles, Fault31_OtherRunsGoOnMeanwhile) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  Remove(WeightsName(run_id, 1));
  Reopen();
  const std::string other = Submit(SmallSpec());
  EXPECT_EQ(Take(Register()).lease.task.run_id, other);
}

// Faults of disks that show while the coordinator runs: what is done to the file, by name.
class DamagedWhileItRuns : public DamagedFiles, public ::testing::WithParamInterface<const char*> {
 protected:
  void Damage(const std::string& name) {
    const std::string kind = GetParam();
    if (kind == "rots") Flip(name);
    if (kind == "rots_in_its_header") {
      std::fstream file(StateFile(name), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(12);
      file.put('!');
    }
    if (kind == "is_cut_short") {
      std::filesystem::resize_file(StateFile(name),
                                   std::filesystem::file_size(StateFile(name)) / 2);
    }
    if (kind == "is_emptied") std::filesystem::resize_file(StateFile(name), 0);
    if (kind == "is_lost") Remove(name);
  }
  // What comes of reading the weights from their first byte on.
  absl::Status ReadWeights(const std::string& run_id, int64_t round) {
    const absl::StatusOr<WeightsFile> opened = coordinator_->weights().Open(run_id, round);
    if (!opened.ok()) return opened.status();
    // It may have been verified before: the damage shows where the bytes are read.
    const auto chunk = opened->file->Chunk(0);
    return chunk.ok() ? chunk.status()
                      : coordinator_->weights().NoteUnreadable(*opened, chunk.status());
  }
};

TEST_P(DamagedWhileItRuns, Fault62_NewestWeightsAreRebuiltWithoutARestartToTheSameBytes) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  TrainRound({b_, a_});
  const std::string w2 = WeightsName(run_id, 2);
  const std::string undisturbed = Sha256OfFile(w2);
  // Somebody has read them before, and somebody reads them now.
  ASSERT_OK_AND_ASSIGN(const WeightsFile reading, coordinator_->weights().Open(run_id, -1));
  const Lease lease = Take(Register()).lease;
  Damage(w2);
  EXPECT_THAT(ReadWeights(run_id, -1),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("being rebuilt")));
  EXPECT_EQ(Alarms("weights"), 1);
  ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(Register()));
  EXPECT_FALSE(answer.grant.has_value()) << "nobody trains from damaged weights";
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Repairs("weights"), 1);
  EXPECT_EQ(Sha256OfFile(w2), undisturbed);
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  ASSERT_OK_AND_ASSIGN(const WeightsFile rebuilt, coordinator_->weights().Open(run_id, -1));
  EXPECT_EQ(Sha256Hex(BytesOf(rebuilt)), undisturbed);
  // Who trains meanwhile loses nothing.
  EXPECT_THAT(Send(lease, a_), IsOk());
}

TEST_P(DamagedWhileItRuns, Fault62_AWorkerIsNotBlamedForWeightsThatAreDamaged) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  const std::string undisturbed = Sha256OfFile(WeightsName(run_id, 1));
  const std::string worker = Register();
  const Lease lease = Take(worker).lease;
  Damage(WeightsName(run_id, 1));
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Send(lease, a_), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_EQ(coordinator_->statistics().Of(Count::kStrikes), 0);
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Sha256OfFile(WeightsName(run_id, 1)), undisturbed);
  EXPECT_THAT(Send(lease, a_), IsOk());
}

TEST_P(DamagedWhileItRuns, Fault62_WhatCannotBeRebuiltPausesItsRunAlone) {
  RunSpec other_spec = LongSpec();
  other_spec.name = "other";
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  std::filesystem::copy(StateFile(WeightsName(run_id, 1)), folder_.File("copy"));
  const Lease lease = Take(Register()).lease;
  const std::string other = Submit(other_spec);
  Damage(WeightsName(run_id, 1));
  Remove(Spooled(run_id)[0]);
  EXPECT_THAT(Send(lease, a_), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kPaused);
  EXPECT_THAT(Run(run_id).row.state_reason,
              AllOf(HasSubstr("weights of round 1 are damaged"), HasSubstr("resume")));
  // Who asks is told, once, and is not sent away to come again.
  EXPECT_THAT(coordinator_->weights().Open(run_id, -1).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cannot be rebuilt")));
  EXPECT_FALSE(coordinator_->AverageNext());
  EXPECT_EQ(Take(Register()).lease.task.run_id, other);
  std::filesystem::copy(folder_.File("copy"), StateFile(WeightsName(run_id, 1)),
                        std::filesystem::copy_options::overwrite_existing);
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_THAT(coordinator_->weights().Open(run_id, -1), IsOk());
}

TEST_P(DamagedWhileItRuns, Fault62_OlderWeightsAndThoseOfAnEndedRunAreNamedAndNeverSent) {
  const std::string run_id = StartRun(LongSpec());
  TrainRound({a_, b_});
  TrainRound({b_, a_});
  Damage(WeightsName(run_id, 1));
  const bool lost = std::string(GetParam()) == "is_lost";
  const auto refused =
      lost ? StatusIs(absl::StatusCode::kNotFound, HasSubstr("weights of round 1"))
           : StatusIs(absl::StatusCode::kDataLoss, HasSubstr("weights of round 1 are damaged"));
  EXPECT_THAT(ReadWeights(run_id, 1), refused);
  EXPECT_THAT(ReadWeights(run_id, 2), IsOk());
  EXPECT_FALSE(coordinator_->AverageNext()) << "nothing is rebuilt";
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  Damage(WeightsName(run_id, 2));
  EXPECT_FALSE(ReadWeights(run_id, 2).ok());
  EXPECT_EQ(Run(run_id).row.state, RunState::kCancelled);
}

TEST_P(DamagedWhileItRuns, Fault62_WeightsThatAreSentAsFloat16AreEncodedAnew) {
  const std::string run_id = StartRun(LongSpec());
  std::string before;
  {
    ASSERT_OK_AND_ASSIGN(const WeightsFile half, coordinator_->weights().OpenFloat16(run_id, 0));
    before = BytesOf(half);
  }
  std::string encoded;
  for (const auto& entry : std::filesystem::directory_iterator(StateFile("weights/" + run_id))) {
    const std::string name = entry.path().filename().string();
    if (name.find("float16") != std::string::npos) encoded = "weights/" + run_id + "/" + name;
  }
  Damage(encoded);
  const absl::StatusOr<WeightsFile> opened = coordinator_->weights().OpenFloat16(run_id, 0);
  ASSERT_THAT(opened, IsOk());
  const auto chunk = opened->file->Chunk(0);
  if (!chunk.ok()) {
    EXPECT_THAT(coordinator_->weights().NoteUnreadable(*opened, chunk.status()),
                StatusIs(absl::StatusCode::kUnavailable));
  }
  ASSERT_OK_AND_ASSIGN(const WeightsFile again, coordinator_->weights().OpenFloat16(run_id, 0));
  EXPECT_EQ(BytesOf(again), before);
  EXPECT_EQ(Alarms("weights"), 0) << "the weights themselves are sound";
}

INSTANTIATE_TEST_SUITE_P(Kinds, DamagedWhileItRuns,
                         ::testing::Values("rots", "rots_in_its_header", "is_cut_short",
                                           "is_emptied", "is_lost"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace distillery
