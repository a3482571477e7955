// A file over several streams, and uploads that wait for their next stream.
#include "coordinator/upload/incoming_file.h"

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "coordinator/upload/parked_uploads.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<IncomingFile> Make(const std::string& path, int64_t bytes) {
  return *IncomingFile::Create(path, bytes);
}

TEST(IncomingFile, GoesOnInAnotherStream) {
  const TemporaryFolder folder;
  const auto file = Make(folder.File("in"), 10);
  ASSERT_THAT(file->BeginStream(0), IsOk());
  ASSERT_THAT(file->Append(0, "abcd", Crc32c("abcd")), IsOk());
  // The stream breaks here.
  EXPECT_EQ(file->received_bytes(), 4);
  ASSERT_THAT(file->BeginStream(4), IsOk());
  ASSERT_THAT(file->Append(4, "efg", 0), IsOk());
  ASSERT_THAT(file->Append(7, "hij", Crc32c("hij")), IsOk());
  // The trailer speaks of its stream alone.
  ASSERT_THAT(file->EndStream(2, 6, Crc32c("efghij")), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string content, ReadFile(folder.File("in"), 100));
  EXPECT_EQ(content, "abcdefghij");
}

TEST(IncomingFile, AStreamBeginsWhereTheLastOneEnded) {
  const auto file = Make("", 10);
  EXPECT_THAT(file->BeginStream(3), StatusIs(kInvalid, HasSubstr("received are 0")));
  ASSERT_THAT(file->Append(0, "abcd", 0), IsOk());
  EXPECT_THAT(file->BeginStream(0), StatusIs(kInvalid, HasSubstr("received are 4")));
  EXPECT_THAT(file->BeginStream(5), StatusIs(kInvalid));
}

TEST(IncomingFile, Fault44_ADamagedChunkIsDataLossAndIsNotKept) {
  const auto file = Make("", 10);
  EXPECT_THAT(file->Append(0, "abcd", Crc32c("abce")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("received at 0")));
  EXPECT_EQ(file->received_bytes(), 0);
}

TEST(IncomingFile, Fault44_ATrailerOfAnotherStreamIsRefused) {
  const auto file = Make("", 4);
  ASSERT_THAT(file->Append(0, "ab", 0), IsOk());
  ASSERT_THAT(file->BeginStream(2), IsOk());
  ASSERT_THAT(file->Append(2, "cd", 0), IsOk());
  EXPECT_THAT(file->EndStream(2, 4, Crc32c("abcd")), StatusIs(kInvalid));
  EXPECT_THAT(file->EndStream(1, 2, Crc32c("abcd")), StatusIs(absl::StatusCode::kDataLoss));
}

class FakeUpload : public Upload {
 public:
  explicit FakeUpload(const std::string& request_id) : Upload(request_id, "x", Make("", 100)) {}

 protected:
  absl::StatusOr<bool> Take(const std::function<bool()>& /*cancelled*/) override { return false; }
};

std::unique_ptr<Upload> Received(const std::string& request_id, int64_t bytes) {
  auto upload = std::make_unique<FakeUpload>(request_id);
  EXPECT_THAT(upload->Append(0, std::string(static_cast<size_t>(bytes), 'a')), IsOk());
  return upload;
}

class ParkedUploadsTest : public ::testing::Test {
 protected:
  // Each a little later than the one before.
  void Park(const std::string& caller, const std::string& owner, const std::string& request_id) {
    clock_.Advance(absl::Milliseconds(1));
    parked_.Park(caller, owner, Received(request_id, 7));
  }
  int64_t Kept(const std::string& caller, const std::string& request_id) {
    return parked_.ReceivedBytes(caller, request_id);
  }

  FakeClock clock_;
  ParkedUploads parked_{&clock_};
};

TEST_F(ParkedUploadsTest, AreKeptForAMinute) {
  Park("a", "lease 1", "one");
  EXPECT_EQ(Kept("a", "one"), 7);
  EXPECT_EQ(Kept("a", "two"), 0);
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(Kept("a", "one"), 7);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Kept("a", "one"), 0);
  EXPECT_EQ(parked_.Take("a", "one", "x"), nullptr);
}

TEST_F(ParkedUploadsTest, AreTakenOnce) {
  Park("a", "lease 1", "one");
  const std::unique_ptr<Upload> upload = parked_.Take("a", "one", "x");
  ASSERT_NE(upload, nullptr);
  EXPECT_EQ(upload->received_bytes(), 7);
  EXPECT_EQ(parked_.Take("a", "one", "x"), nullptr);
}

TEST_F(ParkedUploadsTest, Fault63_NobodyElseTakesDropsOrReplacesThem) {
  Park("a", "lease 1", "one");
  EXPECT_EQ(parked_.Take("b", "one", "x"), nullptr) << "another caller";
  EXPECT_EQ(Kept("b", "one"), 0);
  parked_.Park("b", "lease 2", Received("one", 3));
  EXPECT_EQ(Kept("a", "one"), 7);
  EXPECT_EQ(Kept("b", "one"), 3);
}

TEST_F(ParkedUploadsTest, OneThatItsCallerSendsNoMoreIsNotPromised) {
  Park("a", "lease 1", "one");
  EXPECT_EQ(parked_.Take("a", "one", "y"), nullptr) << "another upload";
  EXPECT_EQ(Kept("a", "one"), 0) << "the next stream begins at 0";
}

TEST_F(ParkedUploadsTest, ACallerOfManyOwnersLosesToOneOfFew) {
  for (int owner = 0; owner < 100; ++owner) {
    Park("greedy", absl::StrCat("lease ", owner), absl::StrCat(owner));
  }
  Park("honest", "lease 100", "mine");
  EXPECT_EQ(Kept("honest", "mine"), 7);
}

TEST_F(ParkedUploadsTest, Fault63_OneOwnerKeepsAFewAndItsOldestMakesRoom) {
  for (int i = 0; i < 100; ++i) Park("a", "lease 1", std::to_string(i));
  for (int i = 0; i < 96; ++i) EXPECT_EQ(Kept("a", std::to_string(i)), 0) << i;
  for (int i = 96; i < 100; ++i) EXPECT_EQ(Kept("a", std::to_string(i)), 7) << i;
}

TEST_F(ParkedUploadsTest, Fault63_NobodyLosesWhatItKeepsToOneWhoKeepsMore) {
  Park("honest", "lease 0", "mine");
  // Under as many names as it likes: each has its few, then they lose among themselves.
  for (int owner = 1; owner <= 40; ++owner) {
    for (int64_t i = 0; i < ParkedUploads::kMostOfOwner; ++i) {
      Park("greedy", absl::StrCat("lease ", owner), absl::StrCat(owner, "-", i));
    }
  }
  EXPECT_EQ(Kept("honest", "mine"), 7);
  // Where all have as many, one's own goes.
  for (int owner = 0; owner < 200; ++owner) {
    Park(absl::StrCat("worker-", owner), absl::StrCat("task ", owner), "its only");
    EXPECT_EQ(Kept("honest", "mine"), 7) << owner;
  }
  EXPECT_EQ(Kept("worker-0", "its only"), 7);
  EXPECT_EQ(Kept("worker-199", "its only"), 0);
}

}  // namespace
}  // namespace distillery
