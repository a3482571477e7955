// Disks that are full, and folders that cannot be written to.
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "tests/teacher_service/cache/logit_cache_fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogitCacheDiskTest : public LogitCacheFixture {};

// Lowers one of this process's limits.
class ResourceLimit {
 public:
  ResourceLimit(decltype(RLIMIT_FSIZE) resource, rlim_t value) : resource_(resource) {
    EXPECT_EQ(getrlimit(resource_, &before_), 0);
    const rlimit limit{value, before_.rlim_max};
    EXPECT_EQ(setrlimit(resource_, &limit), 0);
  }
  ~ResourceLimit() { EXPECT_EQ(setrlimit(resource_, &before_), 0); }

 private:
  const decltype(RLIMIT_FSIZE) resource_;
  rlimit before_{};
};

// Files larger than this fail as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes)
      : handler_(std::signal(SIGXFSZ, SIG_IGN)), limit_(RLIMIT_FSIZE, bytes) {}
  ~FileSizeLimit() { std::signal(SIGXFSZ, handler_); }

 private:
  void (*const handler_)(int);
  const ResourceLimit limit_;
};

TEST_F(LogitCacheDiskTest, WhenNothingCanBeWrittenThisIsSaidOnceAndTriedAgainLater) {
  const auto cache = Open();
  ASSERT_THAT(Store(*cache, 1), IsOk());
  {
    const FileSizeLimit full(kFileBytes - 1);
    EXPECT_THAT(Store(*cache, 2), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("too large")));
    EXPECT_THAT(Store(*cache, 2),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("moment ago")));
    EXPECT_EQ(cache->stats().failed_writes, 1);
    clock_.Advance(absl::Seconds(10));
    EXPECT_THAT(Store(*cache, 2), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("too large")));
    EXPECT_EQ(cache->stats().failed_writes, 2);
    EXPECT_EQ(All(Find(*cache, 1)), Bytes(1));
  }
  EXPECT_THAT(FilesOnDisk(), ElementsAre(Path(1)));
  EXPECT_THAT(Logged(), ElementsAre(HasSubstr("new logits are not cached until")));
  clock_.Advance(absl::Seconds(10));
  ASSERT_THAT(Store(*cache, 2), IsOk());
  EXPECT_EQ(All(Find(*cache, 2)), Bytes(2));
  ASSERT_THAT(Store(*cache, 3), IsOk());
  EXPECT_THAT(Logged(),
              ElementsAre(HasSubstr("warning"), AllOf(HasSubstr("info"), HasSubstr("again"))));
  const FileSizeLimit full(kFileBytes - 1);
  EXPECT_THAT(Store(*cache, 4), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Logged(), SizeIs(3));
}

TEST_F(LogitCacheDiskTest, AWriterThatMeetsAFullDiskHalfWayLeavesNothing) {
  const auto cache = Open();
  {
    ASSERT_OK_AND_ASSIGN(const auto writer, cache->StartWriting(Key(1), kRows, kClasses, kType));
    ASSERT_THAT(writer->Add(0, Bytes(1).substr(0, 40)), IsOk());
    {
      const FileSizeLimit full(kFileBytes - 1);
      EXPECT_THAT(writer->Add(5, Bytes(1).substr(100, 20)),
                  StatusIs(absl::StatusCode::kUnavailable, HasSubstr("too large")));
    }
    // It does not go on with a hole.
    EXPECT_THAT(writer->Add(2, Bytes(1).substr(40, 60)), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_EQ(cache->stats().failed_writes, 1);
  EXPECT_THAT(Logged(), SizeIs(1));
  EXPECT_THAT(FilesOnDisk(), IsEmpty());
  EXPECT_EQ(Find(*cache, 1), nullptr);
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(Store(*cache, 1), IsOk());
}

TEST_F(LogitCacheDiskTest, WithoutDescriptorsNothingIsFoundAndNothingIsLost) {
  const auto cache = Open();
  ASSERT_THAT(Store(*cache, 1), IsOk());
  for (size_t time = 1; time <= 2; ++time) {
    {
      const ResourceLimit none(RLIMIT_NOFILE, 0);
      EXPECT_EQ(Find(*cache, 1), nullptr);
      EXPECT_EQ(Find(*cache, 1), nullptr);
    }
    EXPECT_THAT(Logged(), SizeIs(time));
    EXPECT_THAT(Logged().back(), HasSubstr("Too many open files"));
    EXPECT_EQ(All(Find(*cache, 1)), Bytes(1));
  }
  EXPECT_EQ(cache->stats().corrupt, 0);
}

// A file system in memory of a given size.
class SmallDisk {
 public:
  SmallDisk(const std::string& path, const std::string& size) : path_(path) {
    std::filesystem::create_directories(path);
    mounted_ = mount("none", path.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) {
      EXPECT_EQ(umount2(path_.c_str(), MNT_DETACH), 0);
    }
  }
  bool mounted() const { return mounted_; }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(LogitCacheDiskTest, AFullDiskIsFoundBeforeLogitsAreComputedForIt) {
  const SmallDisk disk(folder(), "64k");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small disk needs root: " << std::strerror(errno);
  constexpr int64_t kManyRows = 2000;  // 40,128 bytes
  const auto cache = Open();
  const auto start = [&](int64_t shard) {
    return cache->StartWriting(Key(shard), kManyRows, kClasses, kType);
  };
  const std::string bytes = Bytes(1, kManyRows * kClasses);
  ASSERT_OK_AND_ASSIGN(auto writer, start(1));
  EXPECT_THAT(start(2), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("No space left")));
  ASSERT_THAT(writer->Add(0, bytes), IsOk());
  writer = nullptr;
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(start(2), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(All(cache->Find(Key(1), kManyRows, kClasses, kType)), bytes);
  EXPECT_EQ(cache->stats().failed_writes, 2);
  // Somebody makes room.
  std::filesystem::remove(Path(1));
  clock_.Advance(absl::Seconds(10));
  ASSERT_OK_AND_ASSIGN(writer, start(2));
  ASSERT_THAT(writer->Add(0, bytes), IsOk());
  EXPECT_EQ(All(cache->Find(Key(2), kManyRows, kClasses, kType)), bytes);
}

// Root may write anywhere, so it becomes somebody else for a while.
class OrdinaryUser {
 public:
  OrdinaryUser() {
    if (geteuid() == 0) {
      EXPECT_EQ(seteuid(65534), 0);
    }
  }
  ~OrdinaryUser() {
    if (getuid() == 0) {
      EXPECT_EQ(seteuid(0), 0);
    }
  }
};

TEST_F(LogitCacheDiskTest, AFolderThatCannotBeWrittenToIsRefusedByName) {
  ASSERT_EQ(chmod(folder_.path().c_str(), 0555), 0);
  LogitCache::Options options;
  options.max_bytes = 1 << 20;
  const auto denied = [](const std::string& path) {
    return StatusIs(absl::StatusCode::kPermissionDenied,
                    AllOf(HasSubstr(path), HasSubstr("--cache-dir")));
  };
  {
    const OrdinaryUser user;
    options.folder = folder_.path();
    EXPECT_THAT(LogitCache::Open(options), denied(options.folder));
    options.folder = folder_.File("below/it");
    EXPECT_THAT(LogitCache::Open(options), denied(options.folder));
  }
  ASSERT_EQ(chmod(folder_.path().c_str(), 0755), 0);
  EXPECT_THAT(LogitCache::Open(options), IsOk());
  EXPECT_TRUE(std::filesystem::is_directory(options.folder));
}

TEST_F(LogitCacheDiskTest, OptionsThatMakeNoSenseAreRefused) {
  LogitCache::Options options;
  options.folder = folder();
  EXPECT_THAT(LogitCache::Open(options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("got 0")));
  options.max_bytes = 1;
  options.folder = folder_.File("file");
  WriteWholeFile(options.folder, "");
  EXPECT_THAT(LogitCache::Open(options),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--cache-dir")));
}

}  // namespace
}  // namespace distillery
