// The commands' client follows the pages of answers that grow.
#include "cli/runs/run_client.h"

#include "coordinator/state/record.h"
#include "tests/common/sanitized.h"
#include "tests/coordinator/fixture.h"
#include "tests/coordinator/rpc/served_coordinator.h"

namespace distillery {
namespace {

class RunClientTest : public CoordinatorTest {
 protected:
  ~RunClientTest() override { served_.reset(); }
  RunClient Client() {
    served_ = std::make_unique<ServedCoordinator>(coordinator_.get());
    return {served_->channel(), "in-process"};
  }
  std::unique_ptr<ServedCoordinator> served_;
};

TEST_F(RunClientTest, Fault57_AllRoundsOfALongRunAreFetched) {
  constexpr int64_t kRounds = 25'000;
  RunSpec spec = SmallSpec();
  spec.training.rounds = kRounds;
  const std::string run_id = StartRun(spec);
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  coordinator_.reset();
  {
    Record::Contents contents;
    ASSERT_OK_AND_ASSIGN(const auto record, Record::Open(StateFile("record.sqlite3"), &contents));
    ASSERT_THAT(record->Transaction([&]() -> absl::Status {
      RoundRow round{run_id, 0, contents.runs[0].weights_sha256, {}, 0.5};
      for (; round.round < kRounds; ++round.round) {
        if (const absl::Status status = record->Put(round); !status.ok()) return status;
      }
      RunRow run = contents.runs[0];
      run.completed_rounds = kRounds;
      return record->Put(run);
    }),
                IsOk());
  }
  Reopen();
  const RunClient client = Client();
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse answer, client.Get(run_id));
  ASSERT_EQ(answer.rounds_size(), kRounds);
  for (int i = 0; i < kRounds; ++i) ASSERT_EQ(answer.rounds(i).round(), i);
  EXPECT_EQ(answer.run().run_id(), run_id);
  EXPECT_EQ(answer.next_page_token(), "");
  ASSERT_OK_AND_ASSIGN(const v1::Run found, client.Find(run_id));
  EXPECT_EQ(found.completed_round_count(), kRounds);
}

TEST_F(RunClientTest, Fault57_AllWorkersAndRunsAreListed) {
  constexpr int kWorkers = 5500;
  for (int i = 0; i < kWorkers; ++i) {
    ASSERT_THAT(coordinator_->leases().Register(NewId(), "host", std::string(512, 'f'), "fastest"),
                IsOk());
  }
  RunSpec spec = SmallSpec();
  // 30 such runs are more than one answer holds. Under a sanitizer they are not: it looks at code,
  // of which fewer numbers run as much, and it takes minutes for all.
  constexpr int64_t kClasses = kAddressSanitizer ? 2'000 : 50'000;
  for (int64_t i = 0; i < kClasses; ++i) spec.dataset.exclude_classes.push_back(i);
  for (int i = 0; i < 30; ++i) Submit(spec);
  const RunClient client = Client();
  ASSERT_OK_AND_ASSIGN(const v1::ListWorkersResponse workers, client.ListWorkers());
  EXPECT_EQ(workers.workers_size(), kWorkers);
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::Run> runs, client.List());
  EXPECT_EQ(runs.size(), 30);
}

}  // namespace
}  // namespace distillery
