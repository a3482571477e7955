// Uploads chunk by chunk: what is refused, and that a refused upload leaves nothing.
#include "coordinator/upload/delta_upload.h"

#include <limits>

#include "common/weights/delta_encoding.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class DeltaUploadTest : public CoordinatorTest {
 protected:
  DeltaUploadTest() : run_id_(StartRun(SmallSpec())), lease_(Take(Register()).lease) {}

  absl::StatusOr<std::unique_ptr<DeltaUpload>> Begin(int64_t byte_count) {
    UploadHeader header = HeaderFor(lease_, "");
    header.byte_count = byte_count;
    return DeltaUpload::Begin(coordinator_.get(), header);
  }
  // Sends the file in chunks of `size` bytes under one header.
  absl::StatusOr<bool> SendInChunks(const std::string& file, size_t size) {
    auto upload = Begin(static_cast<int64_t>(file.size()));
    if (!upload.ok()) return upload.status();
    int64_t chunks = 0;
    for (size_t at = 0; at < file.size(); at += size, ++chunks) {
      const absl::Status status =
          (*upload)->Append(static_cast<int64_t>(at), file.substr(at, size));
      if (!status.ok()) return status;
    }
    return (*upload)->Finish(chunks, static_cast<int64_t>(file.size()), Crc32c(file));
  }
  // Nothing was counted: the lease is still good, and a whole upload is the first.
  void ExpectNothingCounted() {
    ASSERT_OK_AND_ASSIGN(const bool duplicate, Send(lease_, delta_));
    EXPECT_FALSE(duplicate);
    EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
  }

  const std::string delta_ = ModelFile({0.5, 0.5});
  const std::string run_id_;
  const Lease lease_;
};

TEST_F(DeltaUploadTest, ChunksOfAnySizeMakeTheSameFile) {
  ASSERT_OK_AND_ASSIGN(const bool duplicate, SendInChunks(delta_, 7));
  EXPECT_FALSE(duplicate);
  ASSERT_THAT(Send(Take(Register()).lease, delta_), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  // W_0 = [1, 2], both deltas [0.5, 0.5].
  ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id_, 1));
  EXPECT_THAT(TensorValues<float>(BytesOf(weights), "w"), ::testing::ElementsAre(1.5F, 2.5F));
}

TEST_F(DeltaUploadTest, Fault44_ChunkAheadOfItsPlaceIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
  ASSERT_THAT(upload->Append(0, delta_.substr(0, 8)), IsOk());
  EXPECT_THAT(upload->Append(9, delta_.substr(9)), StatusIs(kInvalid, HasSubstr("offset is 9")));
}

TEST_F(DeltaUploadTest, Fault44_ChunkSentTwiceIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
  ASSERT_THAT(upload->Append(0, delta_.substr(0, 8)), IsOk());
  EXPECT_THAT(upload->Append(0, delta_.substr(0, 8)), StatusIs(kInvalid));
}

TEST_F(DeltaUploadTest, Fault44_OverlappingChunkIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
  ASSERT_THAT(upload->Append(0, delta_.substr(0, 8)), IsOk());
  EXPECT_THAT(upload->Append(4, delta_.substr(4, 8)), StatusIs(kInvalid));
}

TEST_F(DeltaUploadTest, Fault44_BytesBeyondTheAnnouncedSizeAreRefused) {
  ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size()) - 1));
  EXPECT_THAT(upload->Append(0, delta_), StatusIs(kInvalid));
}

TEST_F(DeltaUploadTest, Fault44_EmptyChunkIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
  EXPECT_THAT(upload->Append(0, ""), StatusIs(kInvalid));
}

TEST_F(DeltaUploadTest, Fault44_WrongTotalsAreRefusedAndThePartialUploadIsDropped) {
  const auto size = static_cast<int64_t>(delta_.size());
  const uint32_t crc = Crc32c(delta_);
  for (const auto& [chunks, bytes] : {std::pair<int64_t, int64_t>{2, size}, {1, size - 1}}) {
    ASSERT_OK_AND_ASSIGN(const auto upload, Begin(size));
    ASSERT_THAT(upload->Append(0, delta_), IsOk());
    EXPECT_THAT(upload->Finish(chunks, bytes, crc), StatusIs(kInvalid)) << chunks << " " << bytes;
  }
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault44_TrailerBeforeTheLastByteIsRefused) {
  const std::string half = delta_.substr(0, delta_.size() / 2);
  {
    ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
    ASSERT_THAT(upload->Append(0, half), IsOk());
    EXPECT_THAT(upload->Finish(1, static_cast<int64_t>(half.size()), Crc32c(half)),
                StatusIs(kInvalid));
  }
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault44_WrongCrcIsDataLossAndThePartialUploadIsDropped) {
  {
    ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
    ASSERT_THAT(upload->Append(0, delta_), IsOk());
    EXPECT_THAT(upload->Finish(1, static_cast<int64_t>(delta_.size()), Crc32c(delta_) ^ 1),
                StatusIs(absl::StatusCode::kDataLoss));
  }
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault45_UploadDroppedWithoutItsTrailerCountsNothing) {
  {
    ASSERT_OK_AND_ASSIGN(const auto upload, Begin(static_cast<int64_t>(delta_.size())));
    ASSERT_THAT(upload->Append(0, delta_), IsOk());
  }
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault41_DeltaWithNanOrInfinityIsRefusedAndWeightsStay) {
  const std::string before = Run(run_id_).row.weights_sha256;
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(Send(lease_, ModelFile({0.5, bad})), StatusIs(kInvalid, HasSubstr("\"w\"")));
    EXPECT_THAT(Send(lease_, ModelFile({0.5, 0.5}, bad)),
                StatusIs(kInvalid, HasSubstr("\"mean\"")));
  }
  EXPECT_EQ(Run(run_id_).row.weights_sha256, before);
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault43_MissingTensorIsNamed) {
  EXPECT_THAT(Send(lease_, MakeTensorFile({{"mean", {0}}}, {{"steps", 0}})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"w\" is missing")));
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault43_ExtraTensorIsNamed) {
  EXPECT_THAT(
      Send(lease_, MakeTensorFile({{"mean", {0}}, {"w", {0, 0}}, {"x", {0}}}, {{"steps", 0}})),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("\"x\" is not expected")));
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault43_TheFirstTensorThatDiffersIsNamed) {
  // Both differ; "mean" comes first.
  EXPECT_THAT(Send(lease_, MakeTensorFile({{"mean", {0, 0}}, {"w", {0, 0, 0}}}, {{"steps", 0}})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("\"mean\" is F32 [2], expected F32 [1]")));
  ExpectNothingCounted();
}

TEST_F(DeltaUploadTest, Fault43_TensorThatIsThereTwiceIsRefused) {
  const std::string entry = R"("w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::string json = "{" + entry + "," + entry + "}";
  const uint64_t size = json.size();
  const std::string file =
      std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json + std::string(4, '\0');
  EXPECT_THAT(Send(lease_, file), StatusIs(kInvalid, HasSubstr("twice")));
}

TEST_F(DeltaUploadTest, Fault38_ShapeThatOverflowsIsRefusedBeforeAnyAllocation) {
  const std::string json =
      R"({"w":{"dtype":"F32","shape":[2147483648,2147483648,2],"data_offsets":[0,4]}})";
  const uint64_t size = json.size();
  const std::string file =
      std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json + std::string(4, '\0');
  EXPECT_THAT(Send(lease_, file), StatusIs(kInvalid, HasSubstr("\"w\"")));
}

TEST_F(DeltaUploadTest, FileThatIsNotCanonicalIsRefused) {
  // The same tensors, with metadata: equal layouts, but another digest of the same weights.
  const std::string canonical = delta_;
  uint64_t size = 0;
  std::memcpy(&size, canonical.data(), sizeof(size));
  const std::string json = R"({"__metadata__":{"made":"by hand"},)" + canonical.substr(9, size - 1);
  size = json.size();
  const std::string file = std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json +
                           canonical.substr(canonical.size() - (4 + 8 + 8));
  EXPECT_THAT(Send(lease_, file), StatusIs(kInvalid, HasSubstr("canonical")));
}

TEST_F(DeltaUploadTest, AnnouncedSizesOutsideTheLimitsAreRefused) {
  EXPECT_THAT(Begin(0), StatusIs(kInvalid));
  EXPECT_THAT(Begin(-1), StatusIs(kInvalid));
  EXPECT_THAT(Begin(options_.max_model_bytes + 1), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(DeltaUploadTest, TrainingResultWithoutSamplesIsRefused) {
  UploadHeader header = HeaderFor(lease_, delta_);
  header.metrics.sample_count = 0;
  EXPECT_THAT(Send(header, delta_), StatusIs(kInvalid, HasSubstr("sample_count")));
}

TEST_F(DeltaUploadTest, InitialWeightsWithIntegerParametersAreRefused) {
  const std::string run_id = Submit(SmallSpec());
  // A task of the first run may come first: take until the new run's comes.
  Lease lease = Take(Register()).lease;
  while (lease.task.run_id != run_id) lease = Take(Register()).lease;
  const std::string file = MakeTensorFile({{"w", {1}}}, {{"counts", 3}});
  EXPECT_THAT(Send(lease, file), StatusIs(kInvalid, HasSubstr("\"counts\" is I64")));
}

class EncodedDeltas : public CoordinatorTest {
 protected:
  RunSpec Spec(const std::string& encoding) {
    RunSpec spec = SmallSpec();
    spec.training.delta_encoding = encoding;
    return spec;
  }
  absl::StatusOr<bool> SendEncoded(const std::string& encoding, const std::string& as) {
    const Weights delta = *Weights::FromFile(ModelFile({0.5, 0.25}, 3, 4));
    const std::string file = EncodeDelta(delta, ModelBuffers(), *ParseDeltaEncoding(encoding),
                                         RandomStream(1, "delta-rounding"));
    const Lease lease = Take(Register()).lease;
    UploadHeader header = HeaderFor(lease, file);
    header.delta_encoding = as;
    const absl::StatusOr<bool> sent = Send(header, file);
    if (!sent.ok()) {
      EXPECT_THAT(coordinator_->leases().Release(lease, false, ""), IsOk());
    }
    return sent;
  }
};

TEST_F(EncodedDeltas, AreAveragedLikeAnyOther) {
  for (const std::string encoding : {"float16", "bfloat16", "int8"}) {
    const std::string run_id = StartRun(Spec(encoding));
    ASSERT_THAT(SendEncoded(encoding, encoding), IsOk());
    ASSERT_THAT(SendEncoded(encoding, encoding), IsOk());
    EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
    ASSERT_TRUE(coordinator_->AverageNext());
    ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id, 1));
    const std::string file = BytesOf(weights);
    // W_0 = [1, 2]; int8 rounds 0.25 to a multiple of 0.5 / 127.
    const std::vector<float> w = TensorValues<float>(file, "w");
    EXPECT_EQ(w[0], 1.5F);
    EXPECT_NEAR(w[1], 2.25F, 0.5 / 127);
    EXPECT_THAT(TensorValues<float>(file, "mean"), ::testing::ElementsAre(3));
    EXPECT_THAT(TensorValues<int64_t>(file, "steps"), ::testing::ElementsAre(4));
    ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  }
}

TEST_F(EncodedDeltas, AnotherEncodingThanTheRunsIsRefused) {
  StartRun(Spec("int8"));
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(SendEncoded("float16", "float16"), refused);
  EXPECT_THAT(SendEncoded("float16", "int8"), refused);
  EXPECT_THAT(SendEncoded("float32", "float32"), refused);
  EXPECT_THAT(SendEncoded("int8", "nonsense"), refused);
  EXPECT_THAT(SendEncoded("int8", "int8"), IsOk());
}

}  // namespace
}  // namespace distillery
