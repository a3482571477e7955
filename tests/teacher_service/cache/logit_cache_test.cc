#include "teacher_service/cache/logit_cache.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include "common/base/checksum.h"
#include "tests/teacher_service/cache/logit_cache_fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogitCacheTest : public LogitCacheFixture {};

TEST_F(LogitCacheTest, WrittenLogitsAreFoundInBothTypesAlsoAfterReopening) {
  const std::string single = Bytes(1);
  const std::string half = Bytes(2, kRows * kClasses, StoredType::kFloat16);
  auto cache = Open();
  ASSERT_THAT(Store(*cache, 1), IsOk());
  {
    ASSERT_OK_AND_ASSIGN(const auto writer,
                         cache->StartWriting(Key(1), kRows, kClasses, StoredType::kFloat16));
    ASSERT_THAT(writer->Add(0, half), IsOk());
  }
  for (int opened = 1; opened <= 2; ++opened) {
    const Logits found = Find(*cache, 1);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(All(found), single);
    EXPECT_EQ(found->rows(), kRows);
    EXPECT_EQ(found->classes(), kClasses);
    EXPECT_EQ(found->type(), StoredType::kFloat32);
    EXPECT_EQ(Rows(*found, 2, 3), single.substr(2 * 5 * 4, 3 * 5 * 4));
    EXPECT_EQ(Rows(*found, 6, 0), "");
    EXPECT_EQ(found->crc32c(), Crc32c(single));
    EXPECT_EQ(All(cache->Find(Key(1), kRows, kClasses, StoredType::kFloat16)), half);
    EXPECT_EQ(cache->stats().hits, 2);
    EXPECT_EQ(cache->stats().misses, 0);
    EXPECT_EQ(cache->stats().files, 2);
    EXPECT_EQ(cache->stats().bytes, kFileBytes + 188);
    EXPECT_EQ(cache->stats().bytes, BytesOnDisk());
    cache = Open();
  }
  EXPECT_THAT(Logged(), IsEmpty());
}

TEST_F(LogitCacheTest, RowsComeInAnyOrderAndAreThereOnceAllAre) {
  const auto cache = Open();
  ASSERT_OK_AND_ASSIGN(const auto writer, cache->StartWriting(Key(1), kRows, kClasses, kType));
  const std::string bytes = Bytes(1);
  const auto add = [&](int64_t first, int64_t count) {
    return writer->Add(first, absl::string_view(bytes).substr(first * 20, count * 20));
  };
  ASSERT_THAT(add(4, 2), IsOk());
  ASSERT_THAT(add(0, 1), IsOk());
  ASSERT_THAT(add(3, 1), IsOk());
  EXPECT_EQ(Find(*cache, 1), nullptr);
  ASSERT_THAT(add(1, 2), IsOk());
  EXPECT_EQ(All(Find(*cache, 1)), bytes);
  EXPECT_EQ(cache->stats().misses, 1);
}

TEST_F(LogitCacheTest, RowsThatDoNotFitAreRefusedAndTheWriterGoesOn) {
  const auto cache = Open();
  ASSERT_OK_AND_ASSIGN(const auto writer, cache->StartWriting(Key(1), kRows, kClasses, kType));
  const std::string bytes = Bytes(1);
  const auto add = [&](int64_t first, int64_t size) {
    return writer->Add(first, absl::string_view(bytes).substr(0, size));
  };
  const auto refused = absl::StatusCode::kInvalidArgument;
  ASSERT_THAT(writer->Add(2, absl::string_view(bytes).substr(40, 40)), IsOk());
  EXPECT_THAT(add(0, 19), StatusIs(refused, HasSubstr("whole rows of 20 bytes")));
  EXPECT_THAT(add(0, 0), StatusIs(refused));
  EXPECT_THAT(add(-1, 20), StatusIs(refused, HasSubstr("from row -1 on")));
  EXPECT_THAT(add(5, 40),
              StatusIs(refused, HasSubstr("2 rows from row 5 on are not in a shard of 6")));
  EXPECT_THAT(add(INT64_MAX, 20), StatusIs(refused));
  EXPECT_THAT(add(3, 20), StatusIs(refused, HasSubstr("added before")));
  EXPECT_THAT(add(1, 40), StatusIs(refused, HasSubstr("rows 1 to 2 were added before")));
  EXPECT_THAT(add(0, 120), StatusIs(refused));
  ASSERT_THAT(writer->Add(0, absl::string_view(bytes).substr(0, 40)), IsOk());
  ASSERT_THAT(writer->Add(4, absl::string_view(bytes).substr(80, 40)), IsOk());
  EXPECT_THAT(add(0, 20), StatusIs(refused));
  EXPECT_EQ(All(Find(*cache, 1)), bytes);
  EXPECT_EQ(cache->stats().failed_writes, 0);
}

TEST_F(LogitCacheTest, ShapesThatCannotBeAreRefused) {
  const auto cache = Open();
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(cache->StartWriting(Key(1), 0, 5, kType), refused);
  EXPECT_THAT(cache->StartWriting(Key(1), 6, -1, kType), refused);
  EXPECT_THAT(cache->StartWriting(Key(1), int64_t{1} << 62, 4, kType), refused);
  EXPECT_EQ(cache->Find(Key(1), int64_t{1} << 62, 4, kType), nullptr);
  EXPECT_THAT(FilesOnDisk(), IsEmpty());
}

TEST_F(LogitCacheTest, EachFieldOfTheKeyCounts) {
  const auto cache = Open();
  ASSERT_THAT(Store(*cache, 1), IsOk());
  std::vector<LogitKey> others(6, Key(1));
  others[0].teacher_digest.back() = 'x';
  others[1].dataset_digest.back() = 'x';
  others[2].shard = 2;
  others[3].augmentation = "jitter:3";
  others[4].seed = 8;
  others[5].view = 2;
  for (const LogitKey& other : others) {
    EXPECT_EQ(cache->Find(other, kRows, kClasses, kType), nullptr) << other.ToString();
  }
  EXPECT_EQ(cache->stats().misses, 6);
  EXPECT_EQ(cache->stats().corrupt, 0);
  EXPECT_EQ(All(Find(*cache, 1)), Bytes(1));
}

TEST_F(LogitCacheTest, AWriterThatGivesUpLeavesNothing) {
  const auto cache = Open(kFileBytes);
  for (int time = 0; time < 3; ++time) {
    ASSERT_OK_AND_ASSIGN(const auto writer, cache->StartWriting(Key(1), kRows, kClasses, kType));
    ASSERT_THAT(writer->Add(0, Bytes(1).substr(0, 40)), IsOk());
    EXPECT_THAT(FilesOnDisk(), SizeIs(1));
    // Its room is taken.
    EXPECT_THAT(cache->StartWriting(Key(2), kRows, kClasses, kType),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("take 248 of 248")));
  }
  EXPECT_THAT(FilesOnDisk(), IsEmpty());
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_THAT(Logged(), IsEmpty());
}

TEST_F(LogitCacheTest, TwoWritersOfOneKeyAreFine) {
  const auto cache = Open();
  ASSERT_OK_AND_ASSIGN(const auto first, cache->StartWriting(Key(1), kRows, kClasses, kType));
  ASSERT_OK_AND_ASSIGN(const auto second, cache->StartWriting(Key(1), kRows, kClasses, kType));
  ASSERT_THAT(first->Add(0, Bytes(1)), IsOk());
  const Logits before = Find(*cache, 1);
  ASSERT_THAT(second->Add(0, Bytes(1)), IsOk());
  EXPECT_EQ(All(Find(*cache, 1)), Bytes(1));
  EXPECT_EQ(All(before), Bytes(1));
  EXPECT_EQ(cache->stats().files, 1);
  EXPECT_EQ(cache->stats().bytes, BytesOnDisk());
}

TEST_F(LogitCacheTest, ReadersOfOneFileShareItsMappingAndNobodyElseKeepsIt) {
  const auto cache = Open();
  ASSERT_THAT(Store(*cache, 1), IsOk());
  Logits first = Find(*cache, 1);
  EXPECT_EQ(Find(*cache, 1), first);
  EXPECT_EQ(first.use_count(), 1);
}

TEST_F(LogitCacheTest, AFileReplacedByAnotherProcessIsReadAnew) {
  const auto one = Open();
  const auto two = Open();
  ASSERT_THAT(Store(*one, 1), IsOk());
  const Logits held = Find(*one, 1);
  ASSERT_OK_AND_ASSIGN(const auto writer, two->StartWriting(Key(1), kRows, kClasses, kType));
  ASSERT_THAT(writer->Add(0, Bytes(99)), IsOk());
  EXPECT_EQ(All(Find(*one, 1)), Bytes(99));
  EXPECT_EQ(All(held), Bytes(1));
}

TEST_F(LogitCacheTest, TheFileUsedLongestAgoGoesFirst) {
  // The clock stands still: uses are in order all the same.
  const auto cache = Open(3 * kFileBytes + 10);
  for (const int64_t shard : {3, 1, 2}) ASSERT_THAT(Store(*cache, shard), IsOk());
  EXPECT_NE(Find(*cache, 3), nullptr);
  ASSERT_THAT(Store(*cache, 4), IsOk());
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(2, 3, 4));
  ASSERT_THAT(Store(*cache, 5), IsOk());
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(3, 4, 5));
  EXPECT_EQ(cache->stats().evictions, 2);
  EXPECT_EQ(cache->stats().files, 3);
  EXPECT_EQ(cache->stats().bytes, BytesOnDisk());
}

TEST_F(LogitCacheTest, TheOrderOfUseOutlastsARestart) {
  {
    const auto cache = Open();
    for (int64_t shard = 1; shard <= 4; ++shard) ASSERT_THAT(Store(*cache, shard), IsOk());
    EXPECT_NE(Find(*cache, 1), nullptr);
    EXPECT_NE(Find(*cache, 3), nullptr);
  }
  {
    const auto cache = Open();
    EXPECT_NE(Find(*cache, 2),
              nullptr);  // checks the file, which must not look like a use of others
  }
  const auto cache = Open(3 * kFileBytes);
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(1, 2, 3));
  ASSERT_THAT(Store(*cache, 5), IsOk());
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(2, 3, 5));
  EXPECT_EQ(cache->stats().evictions, 2);
}

TEST_F(LogitCacheTest, UsingAFileLeavesItsModificationTime) {
  const auto cache = Open();
  ASSERT_THAT(Store(*cache, 1), IsOk());
  const struct stat before = Stat(Path(1));
  clock_.Advance(absl::Hours(5));
  EXPECT_NE(Find(*cache, 1), nullptr);
  const struct stat after = Stat(Path(1));
  EXPECT_EQ(absl::TimeFromTimespec(after.st_mtim), absl::TimeFromTimespec(before.st_mtim));
  EXPECT_EQ(absl::TimeFromTimespec(after.st_atim), clock_.WallNow());
}

TEST_F(LogitCacheTest, TheSizeLimitHoldsAtAllTimes) {
  constexpr int64_t kLimit = 5 * kFileBytes - 1;
  const auto cache = Open(kLimit);
  for (int64_t shard = 0; shard < 20; ++shard) {
    ASSERT_OK_AND_ASSIGN(const auto writer,
                         cache->StartWriting(Key(shard), kRows, kClasses, kType));
    EXPECT_LE(BytesOnDisk(), kLimit);
    ASSERT_THAT(writer->Add(0, Bytes(shard)), IsOk());
    EXPECT_LE(BytesOnDisk(), kLimit);
  }
  EXPECT_EQ(cache->stats().files, 4);
}

TEST_F(LogitCacheTest, AFileAboveTheWholeLimitIsNotCachedAndSaidOnce) {
  const auto cache = Open(kFileBytes - 1);
  for (int64_t shard = 1; shard <= 3; ++shard) {
    EXPECT_THAT(Store(*cache, shard), StatusIs(absl::StatusCode::kResourceExhausted,
                                               HasSubstr("248 bytes is larger than the cache of")));
  }
  EXPECT_THAT(Logged(), ElementsAre(HasSubstr("give the cache more room")));
  EXPECT_EQ(cache->stats().failed_writes, 0);
  ASSERT_OK_AND_ASSIGN(const auto smaller, cache->StartWriting(Key(1), 1, kClasses, kType));
}

TEST_F(LogitCacheTest, AReaderKeepsItsBytesWhenTheFileIsEvicted) {
  const auto cache = Open(kFileBytes);
  ASSERT_THAT(Store(*cache, 1), IsOk());
  const Logits held = Find(*cache, 1);
  ASSERT_THAT(Store(*cache, 2), IsOk());
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(2));
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_EQ(All(held), Bytes(1));
}

TEST_F(LogitCacheTest, AFileDeletedBySomebodyElseIsNotThere) {
  const auto cache = Open();
  for (int64_t shard = 1; shard <= 3; ++shard) ASSERT_THAT(Store(*cache, shard), IsOk());
  const Logits held = Find(*cache, 1);
  std::filesystem::remove(Path(1));
  EXPECT_EQ(Find(*cache, 1), nullptr);
  EXPECT_EQ(All(held), Bytes(1));
  EXPECT_EQ(cache->stats().files, 2);
  // The whole folder, while a writer is at it.
  ASSERT_OK_AND_ASSIGN(auto writer, cache->StartWriting(Key(4), kRows, kClasses, kType));
  std::filesystem::remove_all(folder());
  EXPECT_EQ(Find(*cache, 2), nullptr);
  EXPECT_THAT(writer->Add(0, Bytes(4)), StatusIs(absl::StatusCode::kNotFound));
  clock_.Advance(absl::Minutes(2));
  ASSERT_THAT(Store(*cache, 1), IsOk());
  EXPECT_EQ(All(Find(*cache, 1)), Bytes(1));
  EXPECT_EQ(cache->stats().files, 1);
}

TEST_F(LogitCacheTest, TwoCachesShareAFolderAndItsLimit) {
  constexpr int64_t kLimit = 3 * kFileBytes;
  const auto one = Open(kLimit);
  const auto two = Open(kLimit);
  for (int64_t shard = 1; shard <= 3; ++shard) {
    ASSERT_THAT(Store(*one, shard), IsOk());
    EXPECT_EQ(All(Find(*two, shard)), Bytes(shard));
  }
  EXPECT_EQ(two->stats().bytes, kLimit);
  EXPECT_NE(Find(*two, 1), nullptr);
  // Within the minute, each knows what it has met; then also what the other one has used and added.
  clock_.Advance(absl::Minutes(1));
  ASSERT_THAT(Store(*one, 4), IsOk());
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(1, 3, 4));
  EXPECT_EQ(Find(*two, 2), nullptr);
  clock_.Advance(absl::Minutes(1));
  ASSERT_THAT(Store(*two, 5), IsOk());
  EXPECT_THAT(ShardsOnDisk(), ElementsAre(1, 4, 5));
  EXPECT_EQ(two->stats().bytes, kLimit);
  EXPECT_THAT(Logged(), IsEmpty());
}

TEST_F(LogitCacheTest, UnfinishedFilesOfADeadProcessAreRemovedAndThoseOfALiveOneAreNot) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto cache = Open();
    const auto writer = cache->StartWriting(Key(1), kRows, kClasses, kType);
    const bool added = writer.ok() && (*writer)->Add(0, Bytes(1).substr(0, 40)).ok();
    if (write(ready[1], added ? "y" : "n", 1) == 1) pause();
    _exit(1);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  const auto while_it_lives = Open();
  EXPECT_THAT(FilesOnDisk(), ElementsAre(HasSubstr("." + std::to_string(child) + ".")));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_THAT(FilesOnDisk(), SizeIs(1));
  const auto afterwards = Open();
  EXPECT_THAT(FilesOnDisk(), IsEmpty());
  EXPECT_EQ(afterwards->stats().files, 0);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(LogitCacheTest, FilesThatAreNotOfTheCacheAreLeftAlone) {
  const std::vector<std::string> foreign = {"notes.txt",
                                            "shard-000001-view-000001-01234567.f32.logits",
                                            "a/shard-000001-view-000001-01234567.f32.logits",
                                            "a/b/holiday.logits",
                                            "a/b/thing.tmp",
                                            "a/b/c/shard-000001-view-000001-01234567.f32.logits"};
  std::filesystem::create_directories(folder() + "/a/b/c");
  for (const std::string& name : foreign) WriteWholeFile(folder() + "/" + name, "mine");
  const auto cache = Open(kFileBytes);
  EXPECT_EQ(cache->stats().files, 0);
  ASSERT_THAT(Store(*cache, 1), IsOk());
  ASSERT_THAT(Store(*cache, 2), IsOk());
  EXPECT_THAT(FilesOnDisk(), SizeIs(foreign.size() + 1));
}

TEST_F(LogitCacheTest, ThreadsAddToOneWriter) {
  constexpr int64_t kManyRows = 400;
  const auto cache = Open();
  ASSERT_OK_AND_ASSIGN(const auto writer, cache->StartWriting(Key(1), kManyRows, kClasses, kType));
  const std::string bytes = Bytes(1, kManyRows * kClasses);
  std::vector<std::thread> threads;
  for (int64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t row = thread; row < kManyRows; row += 4) {
        EXPECT_THAT(writer->Add(row, absl::string_view(bytes).substr(row * 20, 20)), IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(All(cache->Find(Key(1), kManyRows, kClasses, kType)), bytes);
}

// Four threads find and add, with the limit reached all the time; one of them also deletes files.
TEST_F(LogitCacheTest, WhatIsFoundIsRightWhileOthersAddEvictAndDelete) {
  constexpr int64_t kLimit = 6 * kFileBytes;
  LogitCache::Options options;
  options.folder = folder();
  options.max_bytes = kLimit;
  options.scan_interval = absl::ZeroDuration();
  options.retry_interval = absl::ZeroDuration();
  ASSERT_OK_AND_ASSIGN(const auto cache, LogitCache::Open(options));
  std::atomic<int> hits{0};
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      Logits held;
      int64_t held_shard = 0;
      for (int step = 0; step < 300; ++step) {
        const int64_t shard = random() % 10;
        if (Logits found = Find(*cache, shard); found != nullptr) {
          EXPECT_EQ(All(found), Bytes(shard));
          if (held != nullptr) {
            EXPECT_EQ(All(held), Bytes(held_shard));
          }
          held = std::move(found);
          held_shard = shard;
          ++hits;
        } else {
          EXPECT_THAT(Store(*cache, shard), IsOk());
        }
        if (seed == 0 && step % 10 == 0) unlink(Path(random() % 10).c_str());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(hits, 0);
  EXPECT_GT(cache->stats().evictions, 0);
  EXPECT_EQ(cache->stats().corrupt, 0);
  EXPECT_EQ(cache->stats().failed_writes, 0);
  EXPECT_LE(cache->stats().bytes, kLimit);
  EXPECT_LE(BytesOnDisk(), kLimit);
  EXPECT_THAT(Logged(), IsEmpty());
}

}  // namespace
}  // namespace distillery
