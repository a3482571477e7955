// TeacherClient and streams that break, lie or mix teachers.
#include <cstring>

#include "common/soft_targets/encode.h"
#include "student_worker/rpc/teacher_client.h"
#include "tests/student_worker/rpc/scripted_teacher.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Reads the scripts' shard; fails the test if the client asks more often than the script allows.
absl::Status Read(ScriptedTeacher& teacher, ShardRequest* request, SoftTargetRows* rows) {
  CallCanceller canceller;
  const auto teachers = TeacherChannels::Of(teacher.channel(), "teacher:7001");
  TeacherClient client(teachers.get(), &canceller, [](const std::string&) {});
  const std::string teacher_digest = request->teacher_digest;
  *request = ScriptRequest();
  request->teacher_digest = teacher_digest;
  return client.ReadShard(
      request, [&] { return teacher.requests().size() >= 4; }, rows);
}
absl::Status Read(ScriptedTeacher& teacher) {
  ShardRequest request;
  SoftTargetRows rows;
  return Read(teacher, &request, &rows);
}

// A teacher that sends these messages to every call, then OK.
ScriptedTeacher::Script Says(std::vector<v1::StreamSoftTargetsResponse> messages) {
  return [messages](size_t, const v1::StreamSoftTargetsRequest&, ScriptedTeacher::Writer* writer) {
    for (const auto& message : messages) {
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  };
}

TEST(BrokenStream, ResumesAtTheNextRowWithoutGapOrRepeat) {
  ScriptedTeacher teacher([](size_t call, const v1::StreamSoftTargetsRequest& request,
                             ScriptedTeacher::Writer* writer) -> grpc::Status {
    writer->Write(Header());
    const int64_t start = request.start_row();
    if (call == 0) {
      writer->Write(Chunk(0, 2));
      return {grpc::StatusCode::UNAVAILABLE, "draining"};
    }
    if (call == 1) {
      writer->Write(Chunk(start, 1));
      return grpc::Status::OK;  // without its trailer
    }
    writer->Write(Chunk(start, 1));
    writer->Write(Chunk(start + 1, 1));
    writer->Write(Trailer(start));
    return grpc::Status::OK;
  });
  ShardRequest request;
  SoftTargetRows rows;
  ASSERT_THAT(Read(teacher, &request, &rows), IsOk());
  EXPECT_THAT(rows.values, ElementsAre(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5));
  ASSERT_EQ(teacher.requests().size(), 3U);
  EXPECT_EQ(teacher.requests()[0].start_row(), 0);
  EXPECT_EQ(teacher.requests()[1].start_row(), 2);
  EXPECT_EQ(teacher.requests()[2].start_row(), 3);
  // The first header decides which teacher may go on.
  EXPECT_EQ(teacher.requests()[0].expected_teacher_digest(), "");
  EXPECT_EQ(teacher.requests()[1].expected_teacher_digest(), "teacher");
  EXPECT_EQ(request.teacher_digest, "teacher");
}

TEST(BrokenStream, LostTrailerIsAskedForAgain) {
  ScriptedTeacher teacher([](size_t call, const v1::StreamSoftTargetsRequest& request,
                             ScriptedTeacher::Writer* writer) {
    writer->Write(Header());
    if (call == 0) {
      writer->Write(Chunk(0, 5));
    } else {
      writer->Write(Trailer(request.start_row()));
    }
    return grpc::Status::OK;
  });
  ShardRequest request;
  SoftTargetRows rows;
  ASSERT_THAT(Read(teacher, &request, &rows), IsOk());
  EXPECT_EQ(rows.row_count, 5);
  EXPECT_EQ(teacher.requests()[1].start_row(), 5);
}

TEST(BrokenStream, AnotherTeacherThatGoesOnIsRefused) {
  ScriptedTeacher teacher([](size_t call, const v1::StreamSoftTargetsRequest& request,
                             ScriptedTeacher::Writer* writer) -> grpc::Status {
    writer->Write(Header(call == 0 ? "teacher" : "impostor"));
    if (call == 0) {
      writer->Write(Chunk(0, 2));
      return {grpc::StatusCode::UNAVAILABLE, "gone"};
    }
    writer->Write(Chunk(request.start_row(), 3));
    writer->Write(Trailer(request.start_row()));
    return grpc::Status::OK;
  });
  EXPECT_THAT(Read(teacher), StatusIs(absl::StatusCode::kFailedPrecondition,
                                      "teacher digest is impostor, expected teacher"));
}

TEST(BrokenStream, WrongTeacherDigestIsAFailedPrecondition) {
  ScriptedTeacher teacher(Says({Header("impostor"), Chunk(0, 5), Trailer(0)}));
  ShardRequest request;
  request.teacher_digest = "teacher";
  SoftTargetRows rows;
  EXPECT_THAT(Read(teacher, &request, &rows),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("impostor")));
  EXPECT_EQ(teacher.requests().size(), 1U);
}

TEST(BrokenStream, WrongDataSetDigestIsAFailedPrecondition) {
  ScriptedTeacher teacher(Says({Header("teacher", "other data"), Chunk(0, 5), Trailer(0)}));
  EXPECT_THAT(Read(teacher), StatusIs(absl::StatusCode::kFailedPrecondition,
                                      "dataset digest is other data, expected data"));
}

TEST(BrokenStream, AShardOfAnotherSizeIsAFailedPrecondition) {
  v1::StreamSoftTargetsResponse header = Header();
  header.mutable_header()->set_row_count(6);
  ScriptedTeacher longer(Says({header}));
  EXPECT_THAT(Read(longer), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("6 rows")));
  header = Header();
  header.mutable_header()->set_class_count(3);
  ScriptedTeacher wider(Says({header}));
  EXPECT_THAT(Read(wider), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("3 classes")));
}

TEST(BrokenStream, AWrongChecksumIsDataLoss) {
  v1::StreamSoftTargetsResponse trailer = Trailer(0);
  trailer.mutable_trailer()->set_crc32c(trailer.trailer().crc32c() ^ 1U);
  ScriptedTeacher teacher(Says({Header(), Chunk(0, 5), trailer}));
  ShardRequest request;
  SoftTargetRows rows;
  EXPECT_THAT(Read(teacher, &request, &rows), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_TRUE(rows.row_count == 0 && rows.values.empty()) << "damaged rows must not stay";
}

TEST(BrokenStream, AFlippedBitIsDataLoss) {
  v1::StreamSoftTargetsResponse chunk = Chunk(0, 5);
  (*chunk.mutable_chunk()->mutable_values()->mutable_data())[17] ^= 4;
  ScriptedTeacher teacher(Says({Header(), chunk, Trailer(0)}));
  EXPECT_THAT(Read(teacher), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(BrokenStream, AWrongCountIsDataLoss) {
  v1::StreamSoftTargetsResponse trailer = Trailer(0);
  trailer.mutable_trailer()->set_row_count(4);
  ScriptedTeacher teacher(Says({Header(), Chunk(0, 5), trailer}));
  EXPECT_THAT(Read(teacher), StatusIs(absl::StatusCode::kDataLoss));
}

// The scripts' shard as top-2 of its 2 classes, in one chunk.
v1::StreamSoftTargetsResponse TopKChunk() {
  SoftTargetFormat format;
  format.encoding = Encoding::kTopK;
  format.top_k = 2;
  const std::string bytes = ScriptBytes(0, kScriptRows);
  std::vector<float> logits(bytes.size() / sizeof(float));
  std::memcpy(logits.data(), bytes.data(), bytes.size());
  EncodedRows rows = EncodeSoftTargets(logits.data(), kScriptRows, kScriptClasses, format);
  v1::StreamSoftTargetsResponse message;
  const auto fill = [](v1::DataType type, std::vector<int64_t> shape, std::string data,
                       v1::Tensor* tensor) {
    tensor->set_data_type(type);
    tensor->mutable_shape()->Add(shape.begin(), shape.end());
    tensor->set_data(std::move(data));
  };
  v1::SoftTargetChunk* const chunk = message.mutable_chunk();
  fill(v1::DATA_TYPE_FLOAT16, {kScriptRows, 2}, rows.values, chunk->mutable_values());
  fill(v1::DATA_TYPE_INT16, {kScriptRows, 2}, rows.class_indexes, chunk->mutable_class_indexes());
  fill(v1::DATA_TYPE_FLOAT16, {kScriptRows}, rows.tail_mass, chunk->mutable_tail_mass());
  return message;
}

// Reads what a script sends as top-2.
absl::Status ReadTopK(const v1::StreamSoftTargetsResponse& chunk,
                      const v1::StreamSoftTargetsResponse& trailer, SoftTargetRows* rows) {
  ScriptedTeacher teacher(Says({Header(), chunk, trailer}));
  CallCanceller canceller;
  const auto teachers = TeacherChannels::Of(teacher.channel(), "teacher:7001");
  TeacherClient client(teachers.get(), &canceller, [](const std::string&) {});
  ShardRequest request = ScriptRequest();
  request.format.encoding = Encoding::kTopK;
  request.format.top_k = 2;
  const absl::Status status = client.ReadShard(
      &request, [&] { return teacher.requests().size() >= 4; }, rows);
  EXPECT_EQ(teacher.requests()[0].encoding(), v1::ENCODING_TOP_K);
  EXPECT_EQ(teacher.requests()[0].top_k(), 2);
  return status;
}

TEST(BrokenStream, TheChecksumIsOverAllTensorsInTheOrderOfTheirFields) {
  const v1::StreamSoftTargetsResponse chunk = TopKChunk();
  v1::StreamSoftTargetsResponse trailer = Trailer(0);
  const std::string bytes = chunk.chunk().values().data() + chunk.chunk().class_indexes().data() +
                            chunk.chunk().tail_mass().data();
  trailer.mutable_trailer()->set_byte_count(static_cast<int64_t>(bytes.size()));
  trailer.mutable_trailer()->set_crc32c(Crc32c(bytes));
  SoftTargetRows rows;
  ASSERT_THAT(ReadTopK(chunk, trailer, &rows), IsOk());
  EXPECT_EQ(rows.row_count, kScriptRows);
  EXPECT_EQ(rows.class_indexes, (std::vector<int32_t>{1, 0, 1, 0, 1, 0, 1, 0, 1, 0}));
  EXPECT_EQ(rows.tail_mass, std::vector<float>(5, 0));

  // A bit of any of them; of the tail one that no other check sees.
  v1::StreamSoftTargetsResponse flipped = chunk;
  (*flipped.mutable_chunk()->mutable_tail_mass()->mutable_data())[2] ^= 1;
  EXPECT_THAT(ReadTopK(flipped, trailer, &rows),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("trailer")));
  EXPECT_EQ(rows.row_count, 0);
  EXPECT_TRUE(rows.class_indexes.empty());
}

TEST(BrokenStream, ATopKRowThatIsNoDistributionIsDataLoss) {
  v1::StreamSoftTargetsResponse chunk = TopKChunk();
  std::string& indexes = *chunk.mutable_chunk()->mutable_class_indexes()->mutable_data();
  indexes.replace(4, 4, std::string("\1\0\1\0", 4));  // row 1: class 1 twice
  SoftTargetRows rows;
  EXPECT_THAT(ReadTopK(chunk, Trailer(0), &rows),
              StatusIs(absl::StatusCode::kDataLoss, "row 1: class 1 is there twice"));
}

TEST(BrokenStream, ChunksThatDoNotFollowEachOtherAreDataLoss) {
  v1::StreamSoftTargetsResponse ragged = Chunk(0, 5);
  ragged.mutable_chunk()->mutable_values()->mutable_data()->pop_back();
  const std::vector<std::vector<v1::StreamSoftTargetsResponse>> scripts = {
      {Header(), Chunk(0, 2), Chunk(3, 2), Trailer(0)},  // a gap
      {Header(), Chunk(0, 2), Chunk(1, 4), Trailer(0)},  // a repeat
      {Header(), Chunk(1, 4), Trailer(0)},               // not from the start
      {Header(), Chunk(0, 6), Trailer(0)},               // beyond the shard
      {Chunk(0, 5), Trailer(0)},                         // no header
      {Header(), Header(), Chunk(0, 5), Trailer(0)},     // two of them
      {Header(), ragged, Trailer(0)},                    // no whole rows
      {Header(), TopKChunk(), Trailer(0)},               // in another encoding
  };
  for (size_t i = 0; i < scripts.size(); ++i) {
    ScriptedTeacher teacher(Says(scripts[i]));
    EXPECT_THAT(Read(teacher), StatusIs(absl::StatusCode::kDataLoss)) << i;
  }
}

// A shard that differs from its trailer, as one does whose cache file is damaged, is asked for once
// more with the word that it was; the teacher that computes it anew is no worse than others.
TEST(BrokenStream, Fault62_WhatDiffersFromItsTrailerIsReportedAndAskedForAnew) {
  ScriptedTeacher teacher([](size_t, const v1::StreamSoftTargetsRequest& request,
                             ScriptedTeacher::Writer* writer) -> grpc::Status {
    if (request.discard_stored()) return ServeShard(request, writer);
    v1::StreamSoftTargetsResponse damaged = Chunk(0, kScriptRows);
    std::string& bytes = *damaged.mutable_chunk()->mutable_values()->mutable_data();
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    writer->Write(Header());
    writer->Write(damaged);
    writer->Write(Trailer(0));
    return grpc::Status::OK;
  });
  ShardRequest request;
  SoftTargetRows rows;
  ASSERT_THAT(Read(teacher, &request, &rows), IsOk());
  EXPECT_EQ(rows.row_count, kScriptRows);
  const std::string bytes = ScriptBytes(0, kScriptRows);
  EXPECT_EQ(std::memcmp(rows.values.data(), bytes.data(), bytes.size()), 0);
  ASSERT_EQ(teacher.requests().size(), 2);
  EXPECT_FALSE(teacher.requests()[0].discard_stored());
  EXPECT_TRUE(teacher.requests()[1].discard_stored());
}

}  // namespace
}  // namespace distillery
