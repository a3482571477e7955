// Fault 57: answers that grow come in pages, each below the 4 MiB of a stock client, at the largest
// numbers that a spec takes.
#include <ctime>
#include <functional>
#include <set>

#include "common/rpc/proto_conversion.h"
#include "common/run/evaluation_metrics.h"
#include "coordinator/state/record.h"
#include "nlohmann/json.hpp"
#include "tests/common/sanitized.h"
#include "tests/coordinator/fixture.h"
#include "tests/coordinator/rpc/served_coordinator.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

using Stub = ServedCoordinator::Stub;
constexpr size_t kLimit = 4 << 20;
// Sanitizers look at code, of which a twentieth of the numbers runs as much: all of them take
// minutes there.
constexpr int kFewer = kAddressSanitizer ? 20 : 1;

// The seconds of this process, which other processes do not change.
double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

class Paging : public CoordinatorTest {
 protected:
  ~Paging() override { served_.reset(); }
  void Serve() { served_ = std::make_unique<ServedCoordinator>(coordinator_.get()); }
  // Puts rows into the record of a stopped coordinator, in one step.
  void PutRows(const std::function<absl::Status(Record&, const Record::Contents&)>& put) {
    coordinator_.reset();
    Record::Contents contents;
    auto record = Record::Open(StateFile("record.sqlite3"), &contents);
    ASSERT_THAT(record, IsOk());
    ASSERT_THAT((*record)->Transaction([&] { return put(**record, contents); }), IsOk());
  }
  static std::vector<int64_t> ManyClasses(int64_t count) {
    std::vector<int64_t> classes;
    for (int64_t i = 0; i < count; ++i) classes.push_back(1'000'000 - i);
    return classes;
  }
  std::unique_ptr<ServedCoordinator> served_;
};

TEST_F(Paging, Fault57_AMillionRoundsComeInPagesAndOldClientsGetTheNewest) {
  constexpr int64_t kRounds = 1'000'000 / kFewer;
  RunSpec spec = SmallSpec();
  spec.training.rounds = kRounds;
  const std::string run_id = StartRun(spec);
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  PutRows([&](Record& record, const Record::Contents& contents) -> absl::Status {
    RoundRow round{run_id, 0, contents.runs[0].weights_sha256, {}, 0.123456789};
    round.metrics = {200, 50, 0.1, 0.2, 0.3, 0.4, 0.5, 6, 0.7, 0.8, 0.9};
    round.delta_count = 2;
    for (; round.round < kRounds; ++round.round) {
      if (const absl::Status status = record.Put(round); !status.ok()) return status;
    }
    RunRow run = contents.runs[0];
    run.completed_rounds = kRounds;
    return record.Put(run);
  });
  Reopen();
  Serve();
  // A client that knows of no pages.
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse newest, served_->GetRun(run_id));
  EXPECT_GT(newest.rounds_size(), 10'000);
  EXPECT_EQ(newest.rounds(newest.rounds_size() - 1).round(), kRounds - 1);
  EXPECT_EQ(newest.rounds(0).round(), newest.omitted_round_count());
  EXPECT_EQ(newest.omitted_round_count() + newest.rounds_size(), kRounds);
  // One that does.
  int64_t next = 0;
  std::string token;
  do {
    ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse page, served_->GetRun(run_id, 10'000, token));
    EXPECT_EQ(page.run().completed_round_count(), kRounds);
    EXPECT_EQ(page.omitted_round_count(), 0);
    ASSERT_LE(page.rounds_size(), 10'000);
    for (const v1::Round& round : page.rounds()) ASSERT_EQ(round.round(), next++);
    token = page.next_page_token();
  } while (!token.empty());
  EXPECT_EQ(next, kRounds);
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::Run> runs, served_->ListRuns());
  EXPECT_EQ(runs.size(), 1);
}

TEST_F(Paging, RoundsOfAShortRunAreWholeAndPagesThatCannotBeAreRefused) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  TrainRound();
  Serve();
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse all, served_->GetRun(run_id));
  EXPECT_EQ(all.rounds_size(), 2);
  EXPECT_EQ(all.omitted_round_count(), 0);
  EXPECT_EQ(all.next_page_token(), "");
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse first, served_->GetRun(run_id, 1));
  ASSERT_EQ(first.rounds_size(), 1);
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse second,
                       served_->GetRun(run_id, 1, first.next_page_token()));
  ASSERT_EQ(second.rounds_size(), 1);
  EXPECT_EQ(second.rounds(0).round(), 1);
  EXPECT_EQ(second.next_page_token(), "");
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse whole, served_->GetRun(run_id, 2));
  EXPECT_EQ(whole.next_page_token(), "") << "no empty page follows";
  EXPECT_THAT(served_->GetRun(run_id, -1), StatusIs(kInvalid, HasSubstr("page_size")));
  EXPECT_THAT(served_->GetRun(run_id, 10'001), StatusIs(kInvalid, HasSubstr("page_size")));
  EXPECT_THAT(served_->GetRun(run_id, 1, "x"), StatusIs(kInvalid, HasSubstr("page_token")));
  EXPECT_THAT(served_->GetRun(run_id, 1, "-3"), StatusIs(kInvalid, HasSubstr("page_token")));
}

TEST_F(Paging, Fault57_AnEvaluationOfTheMostClassesIsFetchedAndOneOfTwoMillionIsRefused) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  Serve();
  EvaluationMetrics metrics = SomeEvaluation();
  metrics.sample_count = int64_t{1} << 40;
  metrics.samples_per_class.assign(2'000'000, 1);
  metrics.correct_per_class.assign(2'000'000, 0);
  v1::ReportEvaluationRequest report;
  report.set_request_id("too-many");
  *report.mutable_lease() = ToProto(Take(Register()).lease);
  *report.mutable_metrics() = ToProto(metrics);
  ASSERT_LT(report.ByteSizeLong(), kLimit) << "it reaches the coordinator";
  EXPECT_THAT(served_->Call(&Stub::ReportEvaluation, report),
              StatusIs(kInvalid, HasSubstr("100000 at most")));
  metrics.samples_per_class.assign(100'000, int64_t{1} << 40);
  metrics.correct_per_class.assign(100'000, int64_t{1} << 40);
  report.set_request_id("most");
  *report.mutable_metrics() = ToProto(metrics);
  ASSERT_THAT(served_->Call(&Stub::ReportEvaluation, report), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse answer, served_->GetRun(run_id));
  EXPECT_EQ(answer.run().latest_evaluation().details().samples_per_class_size(), 100'000);
  EXPECT_EQ(answer.rounds_size(), 1);
}

// An older version took them.
TEST_F(Paging, Fault57_ADetailedEvaluationThatDoesNotFitIsShownWithoutItsClasses) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  ASSERT_THAT(Evaluate(Take(Register()).lease), IsOk());
  PutRows([&](Record& record, const Record::Contents& contents) {
    EvaluationRow row = contents.evaluations[0];
    EvaluationMetrics metrics = row.metrics;
    // Both over 4 MiB.
    const int64_t classes = kAddressSanitizer ? 400'000 : 2'000'000;
    const int64_t samples = kAddressSanitizer ? int64_t{1} << 40 : 1;
    metrics.samples_per_class.assign(static_cast<size_t>(classes), samples);
    metrics.correct_per_class.assign(static_cast<size_t>(classes), samples);
    row.details_json = DetailsToJson(metrics).dump();
    return record.Put(row);
  });
  Reopen();
  Serve();
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse answer, served_->GetRun(run_id));
  EXPECT_EQ(answer.run().latest_evaluation().sample_count(), 397);
  EXPECT_EQ(answer.run().latest_evaluation().details().samples_per_class_size(), 0);
}

TEST_F(Paging, Fault57_RunsOfAsManyClassesAsASpecTakesAreListed) {
  RunSpec spec = SmallSpec();
  spec.dataset.exclude_classes = ManyClasses(100'000);
  std::set<std::string> submitted;
  // 16 are 4.5 MiB together.
  for (int i = 0; i < (kAddressSanitizer ? 2 : 16); ++i) submitted.insert(Submit(spec));
  spec.dataset.exclude_classes.push_back(0);
  EXPECT_THAT(coordinator_->runs().Submit("more", spec),
              StatusIs(kInvalid, HasSubstr("exclude_classes has 100001 entries")));
  Reopen();
  Serve();
  for (const int32_t page_size : {7, 1000}) {
    ASSERT_OK_AND_ASSIGN(const std::vector<v1::Run> runs, served_->ListRuns(page_size));
    std::set<std::string> listed;
    for (const v1::Run& run : runs) {
      listed.insert(run.run_id());
      EXPECT_EQ(run.spec().dataset().exclude_classes_size(), 100'000);
    }
    EXPECT_EQ(listed, submitted);
    EXPECT_EQ(runs.size(), submitted.size());
  }
}

TEST_F(Paging, Fault57_FourRunsOf900000ExcludedClassesStartInSecondsAndAreListed) {
  constexpr int64_t kClasses = 900'000 / kFewer;
  for (int i = 0; i < 4; ++i) Submit(SmallSpec());
  RunSpec spec = SmallSpec();
  spec.dataset.exclude_classes = ManyClasses(kClasses);
  const std::string json = RunSpecToJson(spec);
  // An older version took them.
  PutRows([&](Record& record, const Record::Contents& contents) {
    for (RunRow row : contents.runs) {
      row.spec_json = json;
      if (const absl::Status status = record.Put(row); !status.ok()) return status;
    }
    return absl::OkStatus();
  });
  const double begun = CpuSeconds();
  Reopen();
  const double opened = CpuSeconds();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(nlohmann::json::parse(json).is_object());
  const double parsing = CpuSeconds() - opened;
  EXPECT_LT(opened - begun, 20 * parsing) << "as YAML they took 57 s, over 100 times as long";
  Serve();
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::Run> runs, served_->ListRuns());
  ASSERT_EQ(runs.size(), 4);
  for (const v1::Run& run : runs) {
    EXPECT_EQ(run.state(), v1::RUN_STATE_PENDING);
    ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse answer, served_->GetRun(run.run_id()));
    EXPECT_EQ(answer.run().spec().dataset().exclude_classes_size(), kClasses);
  }
}

TEST_F(Paging, Fault57_WorkersWithTheLongestNamesComeInPagesWithoutGapOrRepeat) {
  constexpr int kWorkers = 6000;
  for (int i = 0; i < kWorkers; ++i) {
    const std::string name = absl::StrCat(std::string(100, 'n'), "-", i % 7);
    ASSERT_THAT(coordinator_->leases().Register(NewId(), name, std::string(512, 'f'), "fastest"),
                IsOk());
  }
  Serve();
  for (const int32_t page_size : {0, 999, 5000}) {
    ASSERT_OK_AND_ASSIGN(const std::vector<v1::Worker> workers, served_->ListWorkers(page_size));
    std::set<std::string> ids;
    for (const v1::Worker& worker : workers) ids.insert(worker.worker_id());
    EXPECT_EQ(ids.size(), kWorkers);
    EXPECT_EQ(workers.size(), kWorkers);
    EXPECT_TRUE(std::is_sorted(
        workers.begin(), workers.end(),
        [](const v1::Worker& a, const v1::Worker& b) { return a.name() < b.name(); }));
  }
  v1::ListWorkersRequest bad;
  bad.set_page_size(5001);
  EXPECT_THAT(served_->Call(&Stub::ListWorkers, bad), StatusIs(kInvalid, HasSubstr("page_size")));
}

}  // namespace
}  // namespace distillery
