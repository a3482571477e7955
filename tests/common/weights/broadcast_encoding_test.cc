// Weights on their way to workers: half the bytes, the nearest float16, buffers exact.
#include "common/weights/broadcast_encoding.h"

#include <cmath>

#include "common/base/philox.h"
#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

const std::vector<std::string> kBuffers = {"mean", "steps"};

Weights SomeWeights() {
  std::vector<float> w;
  RandomStream random(1, "values");
  // More than one piece.
  for (int i = 0; i < 300'000; ++i) w.push_back(2 * random.Uniform() - 1);
  return *Weights::FromFile(MakeTensorFile(
      {{"w", w}, {"edge", {1e6F, 0.1F, -1e-9F, 2048.5F}}, {"mean", {0.1F}}}, {{"steps", 7}}));
}

absl::StatusOr<std::string> Encode(absl::string_view file) {
  const auto source = TensorSource::OfBytes(file);
  if (!source.ok()) return source.status();
  std::string encoded;
  const absl::Status status = EncodeFloat16(*source, kBuffers, [&](absl::string_view bytes) {
    encoded.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return encoded;
}

TEST(BroadcastEncoding, ParametersAreRoundedToTheNearestAndBuffersAreExact) {
  const Weights weights = SomeWeights();
  ASSERT_OK_AND_ASSIGN(const std::string encoded, Encode(weights.file()));
  EXPECT_LT(encoded.size(), weights.file().size() / 2 + 1000);
  ASSERT_OK_AND_ASSIGN(const Weights decoded, DecodeFloat16(encoded, kBuffers));
  EXPECT_THAT(CheckSameLayout(weights.layout(), decoded.layout()), IsOk());
  EXPECT_THAT(TensorValues<float>(decoded.file(), "mean"), ElementsAre(0.1F));
  EXPECT_THAT(TensorValues<int64_t>(decoded.file(), "steps"), ElementsAre(7));
  EXPECT_THAT(TensorValues<float>(decoded.file(), "edge"),
              ElementsAre(65504.0F, 0.0999755859375F, -0.0F, 2048.0F));
  const auto before = TensorValues<float>(weights.file(), "w");
  const auto after = TensorValues<float>(decoded.file(), "w");
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    ASSERT_LE(std::abs(before[i] - after[i]), std::max(std::abs(before[i]) * 0x1p-11F, 0x1p-25F));
  }
}

TEST(BroadcastEncoding, EncodingWhatWasDecodedGivesTheSameBytes) {
  ASSERT_OK_AND_ASSIGN(const std::string encoded, Encode(SomeWeights().file()));
  ASSERT_OK_AND_ASSIGN(const Weights decoded, DecodeFloat16(encoded, kBuffers));
  ASSERT_OK_AND_ASSIGN(const std::string again, Encode(decoded.file()));
  EXPECT_TRUE(encoded == again);
}

TEST(BroadcastEncoding, DamagedFilesAreRefused) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Encode("no weights"), invalid);
  ASSERT_OK_AND_ASSIGN(const std::string encoded, Encode(SomeWeights().file()));
  EXPECT_THAT(DecodeFloat16(encoded.substr(0, encoded.size() - 1), kBuffers).status(), invalid);
}

TEST(BroadcastEncoding, TheSinksErrorEndsIt) {
  const absl::Status full = absl::ResourceExhaustedError("full");
  const Weights weights = SomeWeights();
  EXPECT_EQ(EncodeFloat16(*TensorSource::OfBytes(weights.file()), kBuffers,
                          [&](absl::string_view) { return full; }),
            full);
}

}  // namespace
}  // namespace distillery
