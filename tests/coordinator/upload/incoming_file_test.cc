// A file over several streams, and uploads that wait for their next stream.
#include "coordinator/upload/incoming_file.h"

#include "common/base/checksum.h"
#include "coordinator/upload/parked_uploads.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

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

TEST(ParkedUploads, AreKeptForAMinute) {
  FakeClock clock;
  ParkedUploads parked(&clock);
  parked.Park(Received("one", 7));
  EXPECT_EQ(parked.ReceivedBytes("one"), 7);
  EXPECT_EQ(parked.ReceivedBytes("two"), 0);
  clock.Advance(absl::Seconds(59));
  EXPECT_EQ(parked.ReceivedBytes("one"), 7);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(parked.ReceivedBytes("one"), 0);
  EXPECT_EQ(parked.Take("one"), nullptr);
}

TEST(ParkedUploads, AreTakenOnce) {
  FakeClock clock;
  ParkedUploads parked(&clock);
  parked.Park(Received("one", 7));
  const std::unique_ptr<Upload> upload = parked.Take("one");
  ASSERT_NE(upload, nullptr);
  EXPECT_EQ(upload->received_bytes(), 7);
  EXPECT_EQ(parked.Take("one"), nullptr);
}

TEST(ParkedUploads, TheOldestMakesRoom) {
  FakeClock clock;
  ParkedUploads parked(&clock);
  for (int i = 0; i <= 64; ++i) {
    parked.Park(Received("upload-" + std::to_string(i), 1));
    clock.Advance(absl::Milliseconds(1));
  }
  EXPECT_EQ(parked.ReceivedBytes("upload-0"), 0);
  EXPECT_EQ(parked.ReceivedBytes("upload-1"), 1);
  EXPECT_EQ(parked.ReceivedBytes("upload-64"), 1);
}

}  // namespace
}  // namespace distillery
