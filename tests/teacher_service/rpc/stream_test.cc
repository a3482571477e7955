// StreamSoftTargets: what a stream holds.
#include <cmath>

#include "common/base/checksum.h"
#include "common/base/half.h"
#include "common/data/catalog.h"
#include "tests/teacher_service/rpc/teacher_server.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kRowBytes = kFakeClasses * 4;

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() { server_.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe_)); }
  FakeTeacherProbe probe_;
  TeacherServer server_;
};

TEST_F(StreamTest, IsAHeaderChunksInRowOrderAndATrailer) {
  const ReadStream stream = ReadWholeStream(server_, StreamRequest());
  ASSERT_THAT(stream.status, IsOk());
  ASSERT_EQ(stream.headers.size(), 1U);
  EXPECT_EQ(stream.headers[0].teacher_digest(), "fake-teacher-digest");
  DatasetCatalog catalog("");
  EXPECT_EQ(stream.headers[0].dataset_digest(),
            (*catalog.Open({"digits", "train", 100}))->digest());
  EXPECT_EQ(stream.headers[0].row_count(), 100);
  EXPECT_EQ(stream.headers[0].class_count(), 10);
  int64_t next_row = 0;
  for (const v1::SoftTargetChunk& chunk : stream.chunks) {
    EXPECT_EQ(chunk.start_row(), next_row);
    EXPECT_EQ(chunk.values().data_type(), v1::DATA_TYPE_FLOAT32);
    ASSERT_EQ(chunk.values().shape_size(), 2);
    EXPECT_EQ(chunk.values().shape(1), 10);
    EXPECT_EQ(static_cast<int64_t>(chunk.values().data().size()),
              chunk.values().shape(0) * kRowBytes);
    next_row += chunk.values().shape(0);
  }
  EXPECT_EQ(next_row, 100);
  ASSERT_EQ(stream.trailers.size(), 1U);
  EXPECT_EQ(stream.trailers[0].row_count(), 100);
  EXPECT_EQ(stream.trailers[0].byte_count(), 100 * 10 * 4);
  EXPECT_EQ(stream.trailers[0].crc32c(), Crc32c(stream.bytes));
}

TEST_F(StreamTest, ResumedAtARowGivesExactlyTheRest) {
  const ReadStream whole = ReadWholeStream(server_, StreamRequest());
  for (const int64_t row : {1, 31, 32, 33, 99}) {
    v1::StreamSoftTargetsRequest request = StreamRequest();
    request.set_start_row(row);
    const ReadStream rest = ReadWholeStream(server_, request);
    ASSERT_THAT(rest.status, IsOk());
    EXPECT_EQ(rest.bytes, whole.bytes.substr(row * kRowBytes)) << row;
    EXPECT_EQ(rest.headers[0].row_count(), 100);
    EXPECT_EQ(rest.chunks[0].start_row(), row);
    EXPECT_EQ(rest.trailers[0].row_count(), 100 - row);
    EXPECT_EQ(rest.trailers[0].crc32c(), Crc32c(rest.bytes));
  }
}

TEST_F(StreamTest, ResumedAtTheEndIsOnlyHeaderAndTrailer) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_start_row(100);
  const ReadStream stream = ReadWholeStream(server_, request);
  EXPECT_THAT(stream.status, IsOk());
  EXPECT_EQ(stream.headers.size(), 1U);
  EXPECT_TRUE(stream.chunks.empty());
  ASSERT_EQ(stream.trailers.size(), 1U);
  EXPECT_EQ(stream.trailers[0].row_count(), 0);
  EXPECT_EQ(probe_.calls.load(), 0);
}

TEST_F(StreamTest, StartBeyondTheShardIsRefused) {
  for (const int64_t row : {int64_t{-1}, int64_t{101}, int64_t{1} << 62}) {
    v1::StreamSoftTargetsRequest request = StreamRequest();
    request.set_start_row(row);
    EXPECT_THAT(ReadWholeStream(server_, request).status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("start_row")));
  }
}

TEST_F(StreamTest, ProbabilitiesAreTheSoftmaxOfTheLogitsOfTheSameRequest) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  const std::vector<float> logits = Floats(ReadWholeStream(server_, request).bytes);  // z/T
  request.set_representation(v1::REPRESENTATION_PROBABILITIES);
  const std::vector<float> got = Floats(ReadWholeStream(server_, request).bytes);
  ASSERT_EQ(got.size(), logits.size());
  ASSERT_EQ(got.size(), 1000U);
  for (size_t row = 0; row < got.size(); row += kFakeClasses) {
    double sum = 0;
    double total = 0;
    for (size_t i = row; i < row + kFakeClasses; ++i) {
      sum += std::exp(static_cast<double>(logits[i]));
      total += got[i];
    }
    EXPECT_NEAR(total, 1, 1e-6);
    for (size_t i = row; i < row + kFakeClasses; ++i) {
      EXPECT_NEAR(got[i], std::exp(static_cast<double>(logits[i])) / sum, 1e-6);
    }
  }
}

TEST_F(StreamTest, HalvesAreWithinTwoToTheMinusElevenOfTheFloats) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  const std::vector<float> exact = Floats(ReadWholeStream(server_, request).bytes);
  request.set_encoding(v1::ENCODING_FLOAT16);
  const ReadStream stream = ReadWholeStream(server_, request);
  ASSERT_THAT(stream.status, IsOk());
  EXPECT_EQ(stream.chunks[0].values().data_type(), v1::DATA_TYPE_FLOAT16);
  EXPECT_EQ(stream.trailers[0].byte_count(), 100 * 10 * 2);
  ASSERT_EQ(stream.bytes.size(), exact.size() * 2);
  for (size_t i = 0; i < exact.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, &stream.bytes[i * 2], sizeof(half));
    // Below 2^-14 halves are 2^-24 apart.
    EXPECT_NEAR(HalfToFloat(half), exact[i], std::abs(exact[i]) * 0x1p-11F + 0x1p-25F);
  }
}

TEST_F(StreamTest, AnotherDigestIsAFailedPrecondition) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_expected_teacher_digest("another");
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "teacher digest is fake-teacher-digest, expected another"));
  request.set_expected_teacher_digest("fake-teacher-digest");
  EXPECT_THAT(ReadWholeStream(server_, request).status, IsOk());
  request.set_expected_dataset_digest("another");
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("dataset digest is ")));
}

TEST_F(StreamTest, UnknownDataIsNotFound) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_name("digit");
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"digits\"?")));
  request = StreamRequest();
  request.mutable_dataset()->set_split("tarin");
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"train\"?")));
  request = StreamRequest();
  request.set_shard(14);  // 1400 rows in shards of 100
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("0 to 13")));
}

TEST_F(StreamTest, BadNumbersAndAugmentationsAreRefused) {
  for (const int32_t size : {-1, 0, 65537}) {
    v1::StreamSoftTargetsRequest request = StreamRequest();
    request.mutable_dataset()->set_shard_size(size);
    EXPECT_THAT(ReadWholeStream(server_, request).status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("shard_size")));
  }
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_augmentation()->set_view(-1);
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("view")));
  request = StreamRequest();
  request.mutable_augmentation()->set_name("jitter:9");
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("jitter")));
}

TEST_F(StreamTest, ATeacherErrorEndsTheStreamWithoutTrailer) {
  probe_.before = [](int64_t call) {
    return call == 2 ? absl::InternalError("the model threw") : absl::OkStatus();
  };
  const ReadStream stream = ReadWholeStream(server_, StreamRequest());
  EXPECT_THAT(stream.status, StatusIs(absl::StatusCode::kInternal, "the model threw"));
  EXPECT_TRUE(stream.trailers.empty());
  EXPECT_LE(stream.bytes.size(), static_cast<size_t>(64 * kRowBytes));
  EXPECT_THAT(ReadWholeStream(server_, StreamRequest()).status, IsOk());
}

}  // namespace
}  // namespace distillery
