#include "student_worker/training/prefetcher.h"

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

// Answers shard s with one row of one class, the value s.
class NumberSource : public SoftTargetSource {
 public:
  absl::Status ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                         SoftTargetRows* rows) override {
    digests.push_back(request->teacher_digest);
    if (request->shard == failing_shard) return absl::DataLossError("shard is damaged");
    if (request->shard == absent_shard) {
      // As TeacherClient while no teacher is there; yields, for there is nothing to wait on.
      waiting.store(true);
      while (!cancelled()) std::this_thread::yield();
      return absl::CancelledError("cancelled");
    }
    if (request->teacher_digest.empty()) request->teacher_digest = "first";
    rows->row_count = 1;
    rows->values = {static_cast<float>(request->shard)};
    return absl::OkStatus();
  }

  int64_t failing_shard = -1;
  int64_t absent_shard = -1;
  std::atomic<bool> waiting{false};
  // As asked; read once the prefetcher is gone.
  std::vector<std::string> digests;
};

std::vector<ShardRequest> Requests(const std::vector<int64_t>& shards) {
  std::vector<ShardRequest> requests;
  for (const int64_t shard : shards) {
    ShardRequest request;
    request.shard = shard;
    request.row_count = 1;
    request.class_count = 1;
    requests.push_back(request);
  }
  return requests;
}

TEST(Prefetcher, GivesShardsInTheOrderAskedFor) {
  NumberSource source;
  const std::atomic<bool> cancel{false};
  Prefetcher prefetcher(&source, Requests({4, 0, 4, 2}), cancel);
  for (const float shard : {4.0F, 0.0F, 4.0F, 2.0F}) {
    ASSERT_OK_AND_ASSIGN(const Prefetcher::Shard got, prefetcher.Next());
    EXPECT_EQ(got.rows.values, std::vector<float>{shard});
    EXPECT_EQ(got.teacher_digest, "first");
  }
}

TEST(Prefetcher, TheFirstAnswersTeacherIsAskedForTheRest) {
  NumberSource source;
  const std::atomic<bool> cancel{false};
  {
    Prefetcher prefetcher(&source, Requests({0, 1, 2}), cancel);
    for (int i = 0; i < 3; ++i) EXPECT_THAT(prefetcher.Next(), IsOk());
  }
  EXPECT_EQ(source.digests, (std::vector<std::string>{"", "first", "first"}));
}

TEST(Prefetcher, AnErrorComesAfterTheShardsBeforeIt) {
  NumberSource source;
  source.failing_shard = 2;
  const std::atomic<bool> cancel{false};
  Prefetcher prefetcher(&source, Requests({1, 2, 3}), cancel);
  EXPECT_THAT(prefetcher.Next(), IsOk());
  EXPECT_THAT(prefetcher.Next(), StatusIs(absl::StatusCode::kDataLoss, "shard is damaged"));
}

TEST(Prefetcher, DestructorStopsWithShardsLeft) {
  NumberSource source;
  const std::atomic<bool> cancel{false};
  { Prefetcher prefetcher(&source, Requests(std::vector<int64_t>(100, 1)), cancel); }
  // One in the queue and one that did not fit at most; the rest was never asked for.
  EXPECT_LE(source.digests.size(), 2U);
}

TEST(Prefetcher, DestructorStopsASourceThatWaitsForItsTeacher) {
  NumberSource source;
  source.absent_shard = 0;
  const std::atomic<bool> cancel{false};
  {
    Prefetcher prefetcher(&source, Requests({0}), cancel);
    while (!source.waiting.load()) std::this_thread::yield();
  }
  EXPECT_EQ(source.digests.size(), 1U);
}

TEST(Prefetcher, CancelReachesTheSource) {
  NumberSource source;
  source.absent_shard = 1;
  std::atomic<bool> cancel{false};
  Prefetcher prefetcher(&source, Requests({0, 1}), cancel);
  EXPECT_THAT(prefetcher.Next(), IsOk());
  while (!source.waiting.load()) std::this_thread::yield();
  cancel.store(true);
  EXPECT_THAT(prefetcher.Next(), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace distillery
