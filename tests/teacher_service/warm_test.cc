#include "teacher_service/warm.h"

#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/teachers/fake_teacher.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class WarmTest : public ::testing::Test {
 protected:
  std::unique_ptr<TeacherHost> Host(int64_t max_bytes) {
    TeacherHost::Options options;
    options.cache.folder = folder_.File("cache");
    options.cache.max_bytes = max_bytes;
    auto host = TeacherHost::Create(options);
    EXPECT_THAT(host, IsOk());
    EXPECT_THAT((*host)->models().Declare("fake"), IsOk());
    EXPECT_THAT((*host)->models().Set("fake", std::make_shared<FakeTeacher>(32, &probe_)), IsOk());
    return *std::move(host);
  }
  const TemporaryFolder folder_;
  FakeTeacherProbe probe_;
  WarmJob job_{"", {"digits", "train", 100}, {}, 3};
};

TEST_F(WarmTest, FillsTheCacheOnceAndForAll) {
  const auto host = Host(64 << 20);
  ASSERT_OK_AND_ASSIGN(const WarmResult first, WarmCache(*host, job_));
  EXPECT_EQ(first.shard_count, 14) << "views of an image that is not augmented are the same";
  EXPECT_EQ(first.cached_count, 0);
  EXPECT_EQ(first.row_count, 1400);
  EXPECT_EQ(probe_.rows.load(), 1400);
  ASSERT_OK_AND_ASSIGN(const WarmResult second, WarmCache(*Host(64 << 20), job_));
  EXPECT_EQ(second.cached_count, 14);
  EXPECT_EQ(probe_.rows.load(), 1400);
}

TEST_F(WarmTest, EachViewIsAShardOfItsOwn) {
  const auto host = Host(64 << 20);
  job_.view.augmentation = *Augmentation::Parse("jitter:1");
  ASSERT_OK_AND_ASSIGN(const WarmResult result, WarmCache(*host, job_));
  EXPECT_EQ(result.shard_count, 3 * 14);
  EXPECT_EQ(host->cache()->stats().files, 3 * 14);
}

TEST_F(WarmTest, AnAugmentationThatWouldDoNothingIsRefused) {
  job_.view.augmentation = *Augmentation::Parse("flip+shift:2");
  EXPECT_THAT(WarmCache(*Host(64 << 20), job_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shift:2 is for sound")));
}

TEST_F(WarmTest, ACacheThatIsTooSmallIsSaid) {
  EXPECT_THAT(WarmCache(*Host(100), job_).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--cache-size-gib")));
  const auto host = *TeacherHost::Create({});
  EXPECT_THAT(WarmCache(*host, job_).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--cache-dir")));
}

}  // namespace
}  // namespace distillery
