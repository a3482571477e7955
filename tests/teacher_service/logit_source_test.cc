#include "teacher_service/logit_source.h"

#include <algorithm>
#include <future>
#include <thread>

#include "common/base/half.h"
#include "common/data/catalog.h"
#include "common/data/numbers.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/teachers/fake_teacher.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kCut = 32;
constexpr int64_t kRows = 100;

class LogitSourceTest : public ::testing::Test {
 protected:
  LogitSourceTest() : dataset_(*catalog_.Open({"digits", "train", kRows})) {}
  ~LogitSourceTest() override { scheduler_.Close(); }

  void UseCache() {
    LogitCache::Options options;
    options.folder = folder_.File("cache");
    options.max_bytes = 1 << 20;
    auto cache = LogitCache::Open(options);
    EXPECT_THAT(cache, IsOk());
    cache_ = *std::move(cache);
  }
  std::shared_ptr<ShardLogits> Open(LogitSource& source, int64_t shard = 0, const View& view = {}) {
    auto opened = source.Open(teacher_, dataset_, shard, view);
    EXPECT_THAT(opened, IsOk());
    return *std::move(opened);
  }
  using Future = std::future<absl::StatusOr<LogitRows>>;
  static Future Ask(ShardLogits& shard, int64_t row,
                    std::shared_ptr<const std::atomic<bool>> cancelled =
                        std::make_shared<const std::atomic<bool>>(false)) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<LogitRows>>>();
    Future future = promise->get_future();
    shard.Get(row, std::move(cancelled),
              [promise](const absl::StatusOr<LogitRows>& rows) { promise->set_value(rows); });
    return future;
  }
  // From memory, or from the cache's file.
  static std::string Bytes(const LogitRows& rows) {
    const auto size = static_cast<size_t>(rows.rows * kFakeClasses * (rows.half ? 2 : 4));
    if (rows.file == nullptr) return {rows.data, size};
    std::string bytes(size, '\0');
    EXPECT_THAT(rows.file->Read(rows.first_row, rows.rows, bytes.data()), IsOk());
    return bytes;
  }
  // All logits from `row` on, as floats.
  static std::vector<float> Read(ShardLogits& shard, int64_t row = 0) {
    std::vector<float> all;
    while (row < shard.row_count()) {
      const absl::StatusOr<LogitRows> rows = Ask(shard, row).get();
      EXPECT_THAT(rows, IsOk());
      if (!rows.ok()) return all;
      EXPECT_EQ(rows->first_row, row);
      const std::string bytes = Bytes(*rows);
      const auto* const floats = reinterpret_cast<const float*>(bytes.data());
      all.insert(all.end(), floats, floats + rows->rows * kFakeClasses);
      row += rows->rows;
    }
    return all;
  }

  const TemporaryFolder folder_;
  FakeTeacherProbe probe_;
  std::shared_ptr<FakeTeacher> teacher_ = std::make_shared<FakeTeacher>(kCut, &probe_);
  DatasetCatalog catalog_{""};
  std::shared_ptr<const Dataset> dataset_;
  ComputeScheduler scheduler_{{2, {}}, Clock::Real()};
  std::unique_ptr<LogitCache> cache_;
};

TEST_F(LogitSourceTest, CutsAreFixedWhereverAReaderStarts) {
  for (const char* const augmentation : {"none", "crop:2+flip", "resized_crop:50", "affine:15",
                                         "elastic:4", "color:30", "erase:30", "jitter:1"}) {
    const View view{*Augmentation::Parse(augmentation), 7, 3};
    LogitSource source({}, &scheduler_, nullptr);
    const std::vector<float> whole = Read(*Open(source, /*shard=*/1, view));
    ASSERT_EQ(whole.size(), static_cast<size_t>(kRows * kFakeClasses));
    for (const int64_t row : {1, 31, 32, 33, 99}) {
      LogitSource fresh({}, &scheduler_, nullptr);
      const std::vector<float> rest = Read(*Open(fresh, /*shard=*/1, view), row);
      EXPECT_EQ(rest, std::vector<float>(whole.begin() + row * kFakeClasses, whole.end()))
          << augmentation << " from row " << row;
      // What a worker with the files reads of that row alone is what the teacher saw.
      std::vector<float> pixels(kFakePixels);
      ASSERT_THAT(LoadNumbers(*dataset_, {kRows + row}, view, {{pixels.data()}}), IsOk());
      const int64_t in_cut = std::min(kCut, kRows - row / kCut * kCut);
      EXPECT_EQ(rest[2], FakeTeacher::Logit(pixels.data(), in_cut, row % kCut, 2))
          << augmentation << " row " << row;
    }
  }
}

TEST_F(LogitSourceTest, ATeacherForSmallerPicturesSeesTheAreaOfTheAugmentedOnes) {
  constexpr int64_t kPixels = 4 * 3;
  teacher_->set_picture(4, 3);
  LogitSource source({}, &scheduler_, nullptr);
  const View view{*Augmentation::Parse("crop:2"), 7, 1};
  const std::vector<float> got = Read(*Open(source, /*shard=*/0, view));
  ASSERT_EQ(got.size(), static_cast<size_t>(kRows * kFakeClasses));
  for (int64_t row = 0; row < kRows; ++row) {
    std::vector<float> pixels(kPixels);
    ASSERT_THAT(LoadNumbers(*dataset_, {row}, view, teacher_->info().card.samples.inputs,
                            {{pixels.data()}}),
                IsOk());
    const int64_t in_cut = std::min(kCut, kRows - row / kCut * kCut);
    for (int64_t c = 0; c < kFakeClasses; ++c) {
      EXPECT_EQ(got[static_cast<size_t>(row * kFakeClasses + c)],
                FakeTeacher::Logit(pixels.data(), in_cut, row % kCut, c, kPixels));
    }
  }
}

TEST_F(LogitSourceTest, ATeacherThatTakesBytesSeesTheSameSmallerPictures) {
  const View view{*Augmentation::Parse("crop:2+flip"), 7, 1};
  teacher_->set_picture(5, 4);
  LogitSource of_floats({}, &scheduler_, nullptr);
  const std::vector<float> expected = Read(*Open(of_floats, /*shard=*/1, view));
  teacher_->set_takes_bytes();
  LogitSource of_bytes({}, &scheduler_, nullptr);
  EXPECT_EQ(Read(*Open(of_bytes, /*shard=*/1, view)), expected);
}

TEST_F(LogitSourceTest, ATeacherForLargerPicturesIsRefusedWithBothSizes) {
  teacher_->set_picture(16, 8);
  LogitSource source({}, &scheduler_, nullptr);
  EXPECT_THAT(source.Open(teacher_, dataset_, 0, View{}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("pictures of 8 x 8 are not grown to 16 x 8")));
}

TEST_F(LogitSourceTest, StreamsThatAskForTheSameCutShareOneComputation) {
  Gate gate;
  probe_.before = [&](int64_t /*call*/) {
    gate.Pass();
    return absl::OkStatus();
  };
  LogitSource source({}, &scheduler_, nullptr);
  const auto first = Open(source);
  const auto second = Open(source);
  std::vector<Future> futures;
  for (int i = 0; i < 5; ++i) futures.push_back(Ask(i % 2 == 0 ? *first : *second, i));
  gate.Open();
  for (int i = 0; i < 5; ++i) {
    const absl::StatusOr<LogitRows> rows = futures[static_cast<size_t>(i)].get();
    ASSERT_THAT(rows, IsOk());
    EXPECT_EQ(rows->first_row, i);
    EXPECT_EQ(rows->rows, kCut - i);
  }
  EXPECT_EQ(probe_.calls.load(), 1);
  EXPECT_EQ(source.shared_count(), 4);
}

TEST_F(LogitSourceTest, WhatWasComputedLatelyIsNotComputedAgain) {
  LogitSource source({}, &scheduler_, nullptr);
  const std::vector<float> first = Read(*Open(source));
  const int64_t calls = probe_.calls.load();
  EXPECT_EQ(Read(*Open(source)), first);
  EXPECT_EQ(probe_.calls.load(), calls);
  EXPECT_EQ(source.memory_bytes(), kRows * kFakeClasses * 4);
}

TEST_F(LogitSourceTest, MemoryIsBoundedOldestFirst) {
  LogitSource::Options options;
  options.memory_bytes = 2 * kCut * kFakeClasses * 4;
  LogitSource source(options, &scheduler_, nullptr);
  const auto shard = Open(source);
  const std::vector<float> first = Read(*shard);
  EXPECT_LE(source.memory_bytes(), options.memory_bytes);
  const int64_t calls = probe_.calls.load();
  ASSERT_THAT(Ask(*shard, 96).get(), IsOk());  // the last cut is still there
  EXPECT_EQ(probe_.calls.load(), calls);
  EXPECT_EQ(Read(*shard), first);  // the first are not, and come out the same
  EXPECT_GT(probe_.calls.load(), calls);
}

TEST_F(LogitSourceTest, ViewsAndShardsAreKeptApart) {
  LogitSource source({}, &scheduler_, nullptr);
  View jittered;
  jittered.augmentation = *Augmentation::Parse("jitter:2");
  jittered.seed = 1;
  View next = jittered;
  next.view = 1;
  const std::vector<float> plain = Read(*Open(source));
  EXPECT_NE(Read(*Open(source, 1)), plain);
  const std::vector<float> first_view = Read(*Open(source, 0, jittered));
  EXPECT_NE(first_view, plain);
  EXPECT_NE(Read(*Open(source, 0, next)), first_view);
  EXPECT_EQ(Read(*Open(source, 0, jittered)), first_view);
}

TEST_F(LogitSourceTest, AWholeShardIsServedFromTheCacheAfterARestart) {
  UseCache();
  std::vector<float> first;
  {
    LogitSource source({}, &scheduler_, cache_.get());
    const auto shard = Open(source);
    first = Read(*shard);
    EXPECT_TRUE(shard->in_cache());
    EXPECT_EQ(source.memory_bytes(), 0) << "the file serves, memory is free";
  }
  const int64_t calls = probe_.calls.load();
  LogitSource source({}, &scheduler_, cache_.get());
  const auto shard = Open(source);
  const absl::StatusOr<LogitRows> rows = Ask(*shard, 5).get();
  ASSERT_THAT(rows, IsOk());
  EXPECT_EQ(rows->rows, kRows - 5) << "to the end of the shard, not of the cut";
  EXPECT_EQ(Read(*shard), first);
  EXPECT_EQ(probe_.calls.load(), calls);
  EXPECT_EQ(cache_->stats().files, 1);
}

TEST_F(LogitSourceTest, AShardReadInPartsIsCachedOnceItIsComplete) {
  UseCache();
  LogitSource source({}, &scheduler_, cache_.get());
  {
    const auto shard = Open(source);
    ASSERT_THAT(Ask(*shard, 0).get(), IsOk());
    ASSERT_THAT(Ask(*shard, 64).get(), IsOk());
  }
  EXPECT_EQ(cache_->stats().files, 0);
  const int64_t calls = probe_.calls.load();
  const auto shard = Open(source);
  Read(*shard);
  EXPECT_TRUE(shard->in_cache());
  EXPECT_EQ(probe_.calls.load(), calls + 2) << "only the two cuts that were missing";
}

TEST_F(LogitSourceTest, HalvesInTheCacheAreWhatIsComputedAnew) {
  teacher_ = std::make_shared<FakeTeacher>(kCut, &probe_);
  teacher_->set_half_logits();
  LogitSource without({}, &scheduler_, nullptr);
  const std::vector<float> computed = Read(*Open(without));
  UseCache();
  LogitSource source({}, &scheduler_, cache_.get());
  Read(*Open(source));
  const absl::StatusOr<LogitRows> rows = Ask(*Open(source), 0).get();
  ASSERT_THAT(rows, IsOk());
  ASSERT_TRUE(rows->half);
  std::vector<float> cached(computed.size());
  HalvesToFloats(Bytes(*rows).data(), static_cast<int64_t>(cached.size()), cached.data());
  EXPECT_EQ(cached, computed);
}

TEST_F(LogitSourceTest, ACutThatAllHaveLeftIsDroppedAndComesBackForANewReader) {
  Gate gate;
  probe_.before = [&](int64_t call) {
    if (call < 2) gate.Pass();
    return absl::OkStatus();
  };
  LogitSource source({}, &scheduler_, nullptr);
  const auto shard = Open(source);
  Future busy_one = Ask(*shard, 0);
  Future busy_two = Ask(*shard, 32);  // both slots
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  Future left = Ask(*shard, 64, cancelled);
  cancelled->store(true);
  gate.Open();
  EXPECT_THAT(left.get().status(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(busy_one.get(), IsOk());
  EXPECT_THAT(busy_two.get(), IsOk());
  EXPECT_EQ(probe_.calls.load(), 2);
  EXPECT_THAT(Ask(*shard, 64).get(), IsOk());
}

TEST_F(LogitSourceTest, OneReaderThatLeavesDoesNotTakeTheCutFromTheOthers) {
  Gate gate;
  probe_.before = [&](int64_t call) {
    if (call < 2) gate.Pass();
    return absl::OkStatus();
  };
  LogitSource source({}, &scheduler_, nullptr);
  const auto shard = Open(source);
  Future busy_one = Ask(*shard, 0);
  Future busy_two = Ask(*shard, 32);
  const auto cancelled = std::make_shared<std::atomic<bool>>(true);
  Future left = Ask(*shard, 64, cancelled);
  Future stays = Ask(*shard, 65);
  gate.Open();
  EXPECT_THAT(stays.get(), IsOk());
  EXPECT_THAT(busy_one.get(), IsOk());
  EXPECT_THAT(busy_two.get(), IsOk());
  (void)left.get();
}

TEST_F(LogitSourceTest, AnErrorReachesAllWhoWaitAndIsNotKept) {
  std::atomic<bool> fail{true};
  probe_.before = [&](int64_t /*call*/) {
    return fail ? absl::InternalError("the model threw") : absl::OkStatus();
  };
  LogitSource source({}, &scheduler_, nullptr);
  const auto shard = Open(source);
  EXPECT_THAT(Ask(*shard, 0).get().status(), StatusIs(absl::StatusCode::kInternal));
  fail = false;
  EXPECT_THAT(Ask(*shard, 0).get(), IsOk());
}

TEST_F(LogitSourceTest, AfterCloseWaitingCutsEndUnavailable) {
  Gate gate;
  probe_.before = [&](int64_t /*call*/) {
    gate.Pass();
    return absl::OkStatus();
  };
  LogitSource source({}, &scheduler_, nullptr);
  const auto shard = Open(source);
  Future one = Ask(*shard, 0);
  Future two = Ask(*shard, 32);
  Future waiting = Ask(*shard, 64);
  gate.AwaitArrival();
  std::thread closer([&] { scheduler_.Close(); });
  EXPECT_THAT(waiting.get().status(), StatusIs(absl::StatusCode::kUnavailable));
  gate.Open();
  closer.join();
  EXPECT_THAT(one.get(), IsOk());
  EXPECT_THAT(Ask(*shard, 96).get().status(), StatusIs(absl::StatusCode::kUnavailable));
  (void)two.get();
}

TEST_F(LogitSourceTest, DataThatDoesNotFitIsRefused) {
  LogitSource source({}, &scheduler_, nullptr);
  EXPECT_THAT(source.Open(teacher_, dataset_, 14, {}).status(),
              StatusIs(absl::StatusCode::kNotFound));
}

// Pixels of row `row` of shard 0.
class UnfiniteRowTest : public LogitSourceTest {
 protected:
  void Spoil(int64_t row) {
    bad_.resize(kFakePixels);
    ASSERT_THAT(LoadNumbers(*dataset_, {row}, {}, {{bad_.data()}}), IsOk());
    probe_.unfinite = [this](const float* pixels) {
      return std::equal(bad_.begin(), bad_.end(), pixels);
    };
  }
  std::vector<float> bad_;
};

TEST_F(UnfiniteRowTest, Fault52_FailsThoseAloneWhoAskForIt) {
  Spoil(40);  // of the cut 32 to 63
  LogitSource source({}, &scheduler_, nullptr);
  const auto shard = Open(source);
  const auto fails = StatusIs(absl::StatusCode::kInternal,
                              HasSubstr("shard 0 of digits: model fake answered with nan for class "
                                        "3 of row 40"));
  for (const int64_t row : {32, 39, 40}) EXPECT_THAT(Ask(*shard, row).get(), fails);
  for (const int64_t row : {0, 41, 63, 64}) EXPECT_THAT(Ask(*shard, row).get(), IsOk()) << row;
  EXPECT_EQ(Read(*shard, 41).size(), static_cast<size_t>((kRows - 41) * kFakeClasses));
  EXPECT_THAT(Ask(*Open(source, 1), 0).get(), IsOk());
}

TEST_F(UnfiniteRowTest, Fault52_IsNeverCached) {
  Spoil(40);
  UseCache();
  {
    LogitSource source({}, &scheduler_, cache_.get());
    const auto shard = Open(source);
    for (const int64_t row : {0, 32, 64, 96}) (void)Ask(*shard, row).get();
    EXPECT_FALSE(shard->in_cache());
    EXPECT_EQ(cache_->stats().files, 0);
    // Nor kept in memory: what the device did once it need not do again.
    EXPECT_EQ(source.memory_bytes(), (kRows - kCut) * kFakeClasses * 4);
    probe_.unfinite = nullptr;
    EXPECT_EQ(Read(*shard).size(), static_cast<size_t>(kRows * kFakeClasses));
  }
  LogitSource source({}, &scheduler_, cache_.get());
  const auto shard = Open(source);
  Read(*shard);
  EXPECT_TRUE(shard->in_cache());
}

}  // namespace
}  // namespace distillery
