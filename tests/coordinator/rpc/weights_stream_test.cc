// Weights down over gRPC.
#include "coordinator/rpc/weights_stream.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "common/weights/broadcast_encoding.h"
#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Downloads : public CoordinatorServiceTest {
 protected:
  struct Download {
    std::vector<v1::DownloadWeightsResponse> messages;
    absl::Status status;
    std::string Bytes() const {
      std::string bytes;
      for (const auto& message : messages) bytes += message.chunk().data();
      return bytes;
    }
  };
  Download Get(const std::string& run_id, int round = -1, int64_t offset = 0,
               const std::string& encoding = "") {
    v1::DownloadWeightsRequest request;
    request.set_run_id(run_id);
    request.set_round(round);
    request.set_start_offset(offset);
    request.set_encoding(encoding);
    grpc::ClientContext context;
    Download download;
    const auto reader = stub_->DownloadWeights(&context, request);
    v1::DownloadWeightsResponse message;
    while (reader->Read(&message)) download.messages.push_back(message);
    download.status = FromGrpcStatus(reader->Finish());
    return download;
  }
};

TEST_F(Downloads, WeightsComeAsHeaderChunksAndTrailer) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  const Download download = Get(run_id);
  ASSERT_THAT(download.status, IsOk());
  ASSERT_EQ(download.messages.size(), 5);
  const v1::WeightsHeader& header = download.messages[0].header();
  EXPECT_EQ(header.byte_count(), static_cast<int64_t>(file.size()));
  EXPECT_EQ(header.sha256(), Sha256Hex(file));
  EXPECT_EQ(header.round(), 0);
  EXPECT_THAT(header.buffer_names(), ElementsAre("mean", "steps"));
  EXPECT_EQ(header.model_card(), "{}");
  int64_t next = 0;
  for (size_t i = 1; i + 1 < download.messages.size(); ++i) {
    EXPECT_EQ(download.messages[i].chunk().offset(), next);
    next += static_cast<int64_t>(download.messages[i].chunk().data().size());
  }
  EXPECT_TRUE(download.Bytes() == file);
  const v1::BytesTrailer& trailer = download.messages.back().trailer();
  EXPECT_EQ(trailer.chunk_count(), 3);
  EXPECT_EQ(trailer.byte_count(), static_cast<int64_t>(file.size()));
  EXPECT_EQ(trailer.crc32c(), Crc32c(file));
}

TEST_F(Downloads, ResumeAtAnyOffsetGivesTheRest) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  const auto size = static_cast<int64_t>(file.size());
  for (const int64_t offset : {int64_t{1}, int64_t{1 << 20}, size - 1, size}) {
    const Download download = Get(run_id, 0, offset);
    ASSERT_THAT(download.status, IsOk()) << offset;
    const std::string rest = file.substr(static_cast<size_t>(offset));
    EXPECT_TRUE(download.Bytes() == rest) << offset;
    EXPECT_EQ(download.messages[0].header().byte_count(), size);
    // The trailer is about this stream alone.
    const v1::BytesTrailer& trailer = download.messages.back().trailer();
    EXPECT_EQ(trailer.byte_count(), size - offset);
    EXPECT_EQ(trailer.crc32c(), Crc32c(rest));
  }
}

TEST_F(Downloads, EachChunkHasItsChecksum) {
  const std::string run_id = StartRun(SmallSpec(), LargeModel());
  const Download download = Get(run_id);
  for (size_t i = 1; i + 1 < download.messages.size(); ++i) {
    const v1::BytesChunk& chunk = download.messages[i].chunk();
    EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
  }
}

TEST_F(Downloads, Fault62_WeightsThatRotOrAreCutShortUnderAReaderAreRebuiltAndThenSent) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 3;
  const std::string run_id = StartRun(spec, LargeModel());
  TrainRound({LargeModel(), LargeModel()});
  const std::string path = StateFile("weights/" + run_id + "/00000001.safetensors");
  const std::string sound = Get(run_id).Bytes();
  for (const bool cut : {false, true}) {
    // Held open, as by a download that is under way.
    ASSERT_OK_AND_ASSIGN(const WeightsFile held, coordinator_->weights().Open(run_id, -1));
    if (cut) {
      std::filesystem::resize_file(path, sound.size() / 2);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(sound.size()) / 2);
      file.put('x');
    }
    const Download broken = Get(run_id);
    EXPECT_THAT(broken.status,
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("being rebuilt")));
    EXPECT_TRUE(broken.Bytes() == sound.substr(0, broken.Bytes().size())) << "what came is sound";
    EXPECT_FALSE(broken.messages.back().has_trailer());
    EXPECT_THAT(Get(run_id).status, StatusIs(absl::StatusCode::kUnavailable));
    ASSERT_TRUE(coordinator_->AverageNext());
    // It goes on where it broke off, in the same bytes.
    const Download rest = Get(run_id, -1, static_cast<int64_t>(broken.Bytes().size()));
    ASSERT_THAT(rest.status, IsOk());
    EXPECT_TRUE(broken.Bytes() + rest.Bytes() == sound);
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Downloads, OffsetsOutsideTheFileAreRefused) {
  const std::string file = ModelFile({1, 2});
  const std::string run_id = StartRun(SmallSpec(), file);
  const auto refused = StatusIs(kInvalid, HasSubstr("start_offset"));
  EXPECT_THAT(Get(run_id, 0, -1).status, refused);
  EXPECT_THAT(Get(run_id, 0, static_cast<int64_t>(file.size()) + 1).status, refused);
}

TEST_F(Downloads, Float16IsHalfTheBytesAndNamesTheFloat32Weights) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  const Download whole = Get(run_id);
  const Download half = Get(run_id, 0, 0, "float16");
  ASSERT_THAT(half.status, IsOk());
  const std::string bytes = half.Bytes();
  const v1::WeightsHeader& header = half.messages[0].header();
  EXPECT_EQ(header.byte_count(), static_cast<int64_t>(bytes.size()));
  EXPECT_LT(bytes.size(), file.size() / 2 + 1000);
  EXPECT_EQ(header.sha256(), Sha256Hex(bytes));
  EXPECT_EQ(header.weights_sha256(), Sha256Hex(file));
  EXPECT_EQ(whole.messages[0].header().weights_sha256(), Sha256Hex(file));
  ASSERT_OK_AND_ASSIGN(const Weights decoded, DecodeFloat16(bytes, {"mean", "steps"}));
  EXPECT_EQ(TensorValues<float>(decoded.file(), "mean"), TensorValues<float>(file, "mean"));
  // A download that broke off goes on in the same bytes.
  const Download rest = Get(run_id, 0, 1000, "float16");
  EXPECT_TRUE(rest.Bytes() == bytes.substr(1000));
  EXPECT_THAT(Get(run_id, 0, 0, "int8").status, StatusIs(kInvalid, HasSubstr("encoding")));
}

TEST_F(Downloads, Float16FilesGoWithTheirRound) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 6;
  const std::string run_id = StartRun(spec);
  ASSERT_THAT(Get(run_id, 0, 0, "float16").status, IsOk());
  const auto count = [&] {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(StateFile("weights/" + run_id))) {
      if (entry.path().string().find("float16") != std::string::npos) ++files;
    }
    return files;
  };
  EXPECT_EQ(count(), 1);
  for (int i = 0; i < 4; ++i) TrainRound();
  EXPECT_EQ(count(), 0);
}

TEST_F(Downloads, RoundsThatAreNotThereAreNamed) {
  const std::string run_id = StartRun(SmallSpec());
  EXPECT_THAT(Get("nobody").status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Get("../state").status, StatusIs(kInvalid));
  EXPECT_THAT(Get(run_id, 1).status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has not begun")));
  TrainRound();
  ASSERT_THAT(RemoveFile(StateFile("weights/" + run_id + "/00000000.safetensors")), IsOk());
  EXPECT_THAT(Get(run_id, 0).status,
              StatusIs(absl::StatusCode::kNotFound, Not(HasSubstr(folder_.path()))));
}

TEST_F(Downloads, ClientThatGoesAwayInTheMiddleHarmsNobody) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  for (int i = 0; i < 20; ++i) {
    v1::DownloadWeightsRequest request;
    request.set_run_id(run_id);
    grpc::ClientContext context;
    const auto reader = stub_->DownloadWeights(&context, request);
    v1::DownloadWeightsResponse message;
    EXPECT_TRUE(reader->Read(&message));
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(Get(run_id).Bytes() == file);
}

// Whether this process has a file open whose path contains `name`.
bool HoldsOpen(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    const std::string path = std::filesystem::read_symlink(entry.path(), closed).string();
    if (absl::StrContains(path, name)) return true;
  }
  return false;
}

TEST_F(Downloads, Fault63_WhatNobodyReadsIsEndedAndItsRoundIsLetGo) {
  const std::string run_id = StartRun(SmallSpec(), LargeModel());
  v1::DownloadWeightsRequest request;
  request.set_run_id(run_id);
  grpc::ClientContext context;
  const auto reader = stub_->DownloadWeights(&context, request);
  v1::DownloadWeightsResponse message;
  ASSERT_TRUE(reader->Read(&message));
  while (!HoldsOpen(run_id)) std::this_thread::yield();
  service_.EndIdleStreams();
  EXPECT_TRUE(HoldsOpen(run_id));
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  ASSERT_THAT(coordinator_->runs().Delete(run_id), IsOk());
  while (HoldsOpen(run_id)) {
    clock_.Advance(absl::Seconds(61));
    service_.EndIdleStreams();
    std::this_thread::yield();
  }
  while (reader->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsIdleEnd());
}

}  // namespace
}  // namespace distillery
