#include "teacher_service/work_queue.h"

#include "tests/common/status_matchers.h"
#include "tests/teacher_service/teachers/fake_teacher.h"

namespace distillery {
namespace {

constexpr absl::Duration kStart = absl::Seconds(100);

std::shared_ptr<Teacher> SmallBatches(int64_t max_batch_rows) {
  auto teacher = std::make_shared<FakeTeacher>(32, nullptr);
  teacher->set_max_batch_rows(max_batch_rows);
  return teacher;
}

class WorkQueueTest : public ::testing::Test {
 protected:
  Query MakeQuery(int64_t rows, std::shared_ptr<Teacher> teacher = nullptr) {
    Query query;
    query.teacher = teacher == nullptr ? teacher_ : std::move(teacher);
    query.rows = rows;
    return query;
  }
  CutWork MakeCut(int64_t rows = 4) {
    CutWork cut;
    cut.teacher = teacher_;
    cut.rows = rows;
    cut.run = [](const absl::Status& /*dropped*/) {};
    return cut;
  }
  // "q" and "c" for the lanes that the next `count` takes give, kept full of both kinds of work.
  static std::string Lanes(WorkQueue& queue, int count, absl::Duration now,
                           const std::function<void()>& refill) {
    std::string lanes;
    for (int i = 0; i < count; ++i) {
      refill();
      lanes += queue.Take(now).lane == Lane::kQuery ? 'q' : 'c';
    }
    return lanes;
  }

  const std::shared_ptr<Teacher> teacher_ = SmallBatches(4);
};

TEST_F(WorkQueueTest, IsWorkConserving) {
  WorkQueue queue({});
  ASSERT_THAT(queue.AddQuery(MakeQuery(1), kStart), IsOk());
  // At once, alone: nothing else is there, so nothing is waited for.
  EXPECT_EQ(queue.Take(kStart).queries.size(), 1U);
  EXPECT_FALSE(queue.Take(kStart).has_work());
}

TEST_F(WorkQueueTest, QueriesOfOneModelShareABatchInOrderOfArrival) {
  WorkQueue queue({});
  const auto other = SmallBatches(4);
  for (const int64_t rows : {2, 1}) ASSERT_THAT(queue.AddQuery(MakeQuery(rows), kStart), IsOk());
  ASSERT_THAT(queue.AddQuery(MakeQuery(1, other), kStart), IsOk());
  for (const int64_t rows : {2, 1}) ASSERT_THAT(queue.AddQuery(MakeQuery(rows), kStart), IsOk());
  // 2 + 1 rows, the next 2 do not fit, the last 1 does.
  const WorkQueue::Batch first = queue.Take(kStart + absl::Seconds(1));
  ASSERT_EQ(first.queries.size(), 3U);
  EXPECT_EQ(first.queries[0].rows + first.queries[1].rows + first.queries[2].rows, 4);
  EXPECT_EQ(first.waits[0], absl::Seconds(1));
  EXPECT_EQ(queue.Take(kStart).queries[0].teacher, other);
  EXPECT_EQ(queue.Take(kStart).queries[0].rows, 2);
  EXPECT_EQ(queue.queued_query_rows(), 0);
}

TEST_F(WorkQueueTest, AQueryLargerThanABatchGoesAlone) {
  WorkQueue queue({});
  for (const int64_t rows : {9, 1}) ASSERT_THAT(queue.AddQuery(MakeQuery(rows), kStart), IsOk());
  const WorkQueue::Batch batch = queue.Take(kStart);
  ASSERT_EQ(batch.queries.size(), 1U);
  EXPECT_EQ(batch.queries[0].rows, 9);
}

TEST_F(WorkQueueTest, AFullQueueRefusesAndRecovers) {
  WorkQueue::Options options;
  options.max_queued_rows = 5;
  WorkQueue queue(options);
  ASSERT_THAT(queue.AddQuery(MakeQuery(4), kStart), IsOk());
  EXPECT_THAT(queue.AddQuery(MakeQuery(2), kStart),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr("queue is full")));
  (void)queue.Take(kStart);
  EXPECT_THAT(queue.AddQuery(MakeQuery(2), kStart), IsOk());
}

TEST_F(WorkQueueTest, WhatNobodyWaitsForIsDroppedBeforeTheDevice) {
  WorkQueue queue({});
  Query late = MakeQuery(1);
  late.deadline = kStart + absl::Milliseconds(5);
  Query left = MakeQuery(1);
  left.cancelled = [] { return true; };
  CutWork cut = MakeCut();
  cut.cancelled = [] { return true; };
  ASSERT_THAT(queue.AddQuery(std::move(late), kStart), IsOk());
  ASSERT_THAT(queue.AddQuery(std::move(left), kStart), IsOk());
  ASSERT_THAT(queue.AddQuery(MakeQuery(3), kStart), IsOk());
  queue.AddCut(std::move(cut));
  const WorkQueue::Batch batch = queue.Take(kStart + absl::Milliseconds(5));
  ASSERT_EQ(batch.queries.size(), 1U);
  EXPECT_EQ(batch.queries[0].rows, 3);
  ASSERT_EQ(batch.dropped_queries.size(), 2U);
  EXPECT_THAT(batch.dropped_queries[0].second, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(batch.dropped_queries[1].second, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(batch.dropped_cuts.size(), 1U);
  EXPECT_EQ(queue.queued_query_rows(), 0);
}

TEST_F(WorkQueueTest, NeitherLaneStarvesTheOther) {
  WorkQueue::Options options;
  options.max_queue_delay = absl::ZeroDuration();
  WorkQueue queue(options);
  const auto refill = [&] {
    while (queue.queued_cuts() < 4) queue.AddCut(MakeCut(4));
    while (queue.queued_query_rows() < 16)
      ASSERT_THAT(queue.AddQuery(MakeQuery(4), kStart), IsOk());
  };
  const std::string lanes = Lanes(queue, 100, kStart, refill);
  EXPECT_EQ(std::count(lanes.begin(), lanes.end(), 'q'), 50);
  EXPECT_EQ(lanes.find("qqq"), std::string::npos);
  EXPECT_EQ(lanes.find("ccc"), std::string::npos);
}

TEST_F(WorkQueueTest, SharesFollowTheWeights) {
  WorkQueue::Options options;
  options.max_queue_delay = absl::ZeroDuration();
  options.stream_weight = 3;
  WorkQueue queue(options);
  const auto refill = [&] {
    while (queue.queued_cuts() < 4) queue.AddCut(MakeCut(4));
    while (queue.queued_query_rows() < 16)
      ASSERT_THAT(queue.AddQuery(MakeQuery(4), kStart), IsOk());
  };
  const std::string lanes = Lanes(queue, 100, kStart, refill);
  EXPECT_EQ(std::count(lanes.begin(), lanes.end(), 'c'), 75);
}

TEST_F(WorkQueueTest, ALaneThatWasIdleHasNoCreditToBurn) {
  WorkQueue::Options options;
  options.max_queue_delay = absl::ZeroDuration();
  WorkQueue queue(options);
  for (int i = 0; i < 1000; ++i) queue.AddCut(MakeCut(4));
  for (int i = 0; i < 900; ++i) (void)queue.Take(kStart);  // streams alone
  const auto refill = [&] {
    while (queue.queued_query_rows() < 16)
      ASSERT_THAT(queue.AddQuery(MakeQuery(4), kStart), IsOk());
  };
  const std::string lanes = Lanes(queue, 20, kStart, refill);
  EXPECT_EQ(std::count(lanes.begin(), lanes.end(), 'q'), 10);
}

TEST_F(WorkQueueTest, ABatchThatIsNotFullLetsCutsGoFirstForTheQueueDelay) {
  WorkQueue::Options options;
  options.max_queue_delay = absl::Milliseconds(10);
  WorkQueue queue(options);
  ASSERT_THAT(queue.AddQuery(MakeQuery(1), kStart), IsOk());
  for (int i = 0; i < 4; ++i) queue.AddCut(MakeCut());
  EXPECT_EQ(queue.Take(kStart).lane, Lane::kStream);
  EXPECT_EQ(queue.Take(kStart + absl::Milliseconds(9)).lane, Lane::kStream);
  EXPECT_EQ(queue.Take(kStart + absl::Milliseconds(10)).lane, Lane::kQuery);
  // A full one does not wait.
  ASSERT_THAT(queue.AddQuery(MakeQuery(4), kStart), IsOk());
  EXPECT_EQ(queue.Take(kStart).lane, Lane::kQuery);
}

TEST_F(WorkQueueTest, TakeAllGivesEverythingBack) {
  WorkQueue queue({});
  ASSERT_THAT(queue.AddQuery(MakeQuery(1), kStart), IsOk());
  queue.AddCut(MakeCut());
  const WorkQueue::Batch left = queue.TakeAll();
  ASSERT_EQ(left.dropped_queries.size(), 1U);
  EXPECT_THAT(left.dropped_queries[0].second, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(left.dropped_cuts.size(), 1U);
  EXPECT_FALSE(queue.Take(kStart).has_work());
}

}  // namespace
}  // namespace distillery
