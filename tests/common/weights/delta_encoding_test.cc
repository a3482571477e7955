// Encoded deltas: sizes, errors, expected values, and what is refused.
#include "common/weights/delta_encoding.h"

#include <cmath>
#include <limits>

#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr DeltaEncoding kLossy[] = {DeltaEncoding::kFloat16, DeltaEncoding::kBFloat16,
                                    DeltaEncoding::kInt8};
const std::vector<std::string> kBuffers = {"mean", "steps"};

// A parameter "w" of 600 values around `scale`, a parameter "tiny" and two buffers.
Weights SomeDelta(float scale = 0.01F) {
  std::vector<float> w;
  RandomStream random(1, "values");
  for (int i = 0; i < 600; ++i) w.push_back(scale * (2 * random.Uniform() - 1));
  return *Weights::FromFile(
      MakeTensorFile({{"w", w}, {"tiny", {1e-7F, 0, -3e-8F}}, {"mean", {0.1F}}}, {{"steps", 7}}));
}

RandomStream Random(uint64_t round = 0) { return RandomStream(1, "delta-rounding", round); }

absl::StatusOr<std::string> Decode(const std::string& file, const Weights& like,
                                   DeltaEncoding encoding) {
  const auto source = TensorSource::OfBytes(file);
  if (!source.ok()) return source.status();
  std::string decoded;
  const absl::Status status =
      DecodeDelta(*source, like.layout(), kBuffers, encoding, [&](absl::string_view bytes) {
        decoded.append(bytes.data(), bytes.size());
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return decoded;
}

std::vector<float> RoundTrip(const Weights& delta, DeltaEncoding encoding, const std::string& name,
                             uint64_t round = 0) {
  const auto decoded =
      Decode(EncodeDelta(delta, kBuffers, encoding, Random(round)), delta, encoding);
  EXPECT_THAT(decoded, IsOk());
  return decoded.ok() ? TensorValues<float>(*decoded, name) : std::vector<float>();
}

// How far two neighbours of `value` are apart at most, in a block whose largest value is `largest`.
float StepOf(DeltaEncoding encoding, float value, float largest) {
  if (encoding == DeltaEncoding::kInt8) return largest / 127;
  if (encoding == DeltaEncoding::kBFloat16) return std::abs(value) * 0x1p-7F;
  return std::max(std::abs(value) * 0x1p-10F, 0x1p-24F);
}

TEST(DeltaEncoding, Float32IsTheFileItself) {
  const Weights delta = SomeDelta();
  EXPECT_EQ(EncodeDelta(delta, kBuffers, DeltaEncoding::kFloat32, Random()), delta.file());
  ASSERT_OK_AND_ASSIGN(const std::string decoded,
                       Decode(delta.file(), delta, DeltaEncoding::kFloat32));
  EXPECT_EQ(decoded, delta.file());
}

TEST(DeltaEncoding, IsSmallerAndReadsBackToTheLayoutWithExactBuffers) {
  const Weights delta = SomeDelta();
  const size_t parameters = 4 * 603;
  for (const DeltaEncoding encoding : kLossy) {
    const std::string file = EncodeDelta(delta, kBuffers, encoding, Random());
    const size_t size = encoding == DeltaEncoding::kInt8 ? 603 + 4 * 4 : 2 * 603;
    EXPECT_LT(file.size(), delta.file().size() - parameters + size + 200);  // a longer header
    ASSERT_OK_AND_ASSIGN(const std::string decoded, Decode(file, delta, encoding));
    EXPECT_EQ(decoded.size(), delta.file().size());
    EXPECT_TRUE(WeightsLayout::Parse(decoded)->canonical());
    EXPECT_THAT(TensorValues<float>(decoded, "mean"), ElementsAre(0.1F));
    EXPECT_THAT(TensorValues<int64_t>(decoded, "steps"), ElementsAre(7));
  }
}

TEST(DeltaEncoding, ErrorsStayBelowOneStep) {
  const Weights delta = SomeDelta();
  const std::vector<float> w = TensorValues<float>(delta.file(), "w");
  for (const DeltaEncoding encoding : kLossy) {
    const std::vector<float> got = RoundTrip(delta, encoding, "w");
    ASSERT_EQ(got.size(), w.size());
    for (size_t i = 0; i < w.size(); ++i) {
      ASSERT_LT(std::abs(got[i] - w[i]), StepOf(encoding, w[i], 0.01F)) << i;
    }
  }
}

TEST(DeltaEncoding, WhatAnEncodingHoldsExactlyIsNotRounded) {
  const Weights delta = *Weights::FromFile(MakeTensorFile({{"w", {1, -5, 0, 2, 127, -127}}}));
  for (const DeltaEncoding encoding : kLossy) {
    EXPECT_THAT(RoundTrip(delta, encoding, "w"), ElementsAre(1, -5, 0, 2, 127, -127));
  }
}

// The mean over many roundings is the value: what nearest rounding would lose is kept on average.
TEST(DeltaEncoding, TheExpectedValueIsTheValue) {
  const std::vector<float> values = {0.3F, -0.7F, 1.0F / 3, 1, 3e-8F, -2.5e-8F, 0.001F};
  const Weights delta = *Weights::FromFile(MakeTensorFile({{"w", values}}));
  constexpr int kRounds = 4000;
  for (const DeltaEncoding encoding : kLossy) {
    std::vector<double> sums(values.size());
    for (uint64_t round = 0; round < kRounds; ++round) {
      const std::vector<float> got = RoundTrip(delta, encoding, "w", round);
      for (size_t i = 0; i < values.size(); ++i) sums[i] += got[i];
    }
    for (size_t i = 0; i < values.size(); ++i) {
      // Five standard errors, where a rounding deviates by at most half a step.
      EXPECT_NEAR(sums[i] / kRounds, values[i],
                  5 * StepOf(encoding, values[i], 1) / 2 / std::sqrt(kRounds))
          << i << " " << static_cast<int>(encoding);
    }
  }
}

TEST(DeltaEncoding, TheSameRandomnessGivesTheSameBytesAndAnotherDoesNot) {
  const Weights delta = SomeDelta();
  for (const DeltaEncoding encoding : kLossy) {
    const std::string file = EncodeDelta(delta, kBuffers, encoding, Random());
    EXPECT_EQ(file, EncodeDelta(delta, kBuffers, encoding, Random()));
    EXPECT_NE(file, EncodeDelta(delta, kBuffers, encoding, Random(1)));
  }
}

TEST(DeltaEncoding, ExtremesStayFiniteAndZerosZero) {
  const float most = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  const Weights delta = *Weights::FromFile(
      MakeTensorFile({{"big", {most, -most, 1}}, {"small", {least, -least, 0}}, {"zero", {0, 0}}}));
  for (const DeltaEncoding encoding : kLossy) {
    for (const float value : RoundTrip(delta, encoding, "big")) EXPECT_TRUE(std::isfinite(value));
    for (const float value : RoundTrip(delta, encoding, "small")) {
      EXPECT_LE(std::abs(value), 0x1p-24F);
    }
    EXPECT_THAT(RoundTrip(delta, encoding, "zero"), ElementsAre(0, 0));
  }
  EXPECT_THAT(RoundTrip(delta, DeltaEncoding::kFloat16, "big"), ElementsAre(65504, -65504, 1));
}

TEST(DeltaEncoding, AnotherLayoutOrEncodingIsRefused) {
  const Weights delta = SomeDelta();
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition);
  for (const DeltaEncoding encoding : kLossy) {
    const std::string file = EncodeDelta(delta, kBuffers, encoding, Random());
    const Weights other = *Weights::FromFile(MakeTensorFile({{"w", {1}}}));
    EXPECT_THAT(Decode(file, other, encoding), refused);
    EXPECT_THAT(Decode(delta.file(), delta, encoding), refused);
    EXPECT_THAT(Decode(file, delta, DeltaEncoding::kFloat32), refused);
    EXPECT_THAT(Decode(file.substr(0, file.size() - 1), delta, encoding),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(DeltaEncoding, ValuesThatAreNotFiniteAreRefusedByName) {
  const Weights delta = *Weights::FromFile(MakeTensorFile({{"w", {1, 2}}}));
  std::string file = EncodeDelta(delta, {}, DeltaEncoding::kInt8, Random());
  const WeightsLayout layout = *WeightsLayout::Parse(file);
  const TensorSpec& scales = *layout.Find("w/scales");
  const float huge = 3e38F;
  std::memcpy(&file[static_cast<size_t>(layout.data_start() + scales.offset)], &huge, 4);
  EXPECT_THAT(Decode(file, delta, DeltaEncoding::kInt8),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"w\"")));
}

TEST(DeltaEncoding, NamesAreParsed) {
  EXPECT_EQ(ParseDeltaEncoding(""), DeltaEncoding::kFloat32);
  EXPECT_EQ(ParseDeltaEncoding("bfloat16"), DeltaEncoding::kBFloat16);
  EXPECT_EQ(ParseDeltaEncoding("int4"), std::nullopt);
}

TEST(DeltaEncoding, TiedWeightsAreRoundedOnceAndNothingElseNoticesThem) {
  std::vector<float> w;
  RandomStream random(2, "values");
  for (int i = 0; i < 600; ++i) w.push_back(2 * random.Uniform() - 1);
  const std::vector<float> last = {0.3F, 0.7F};
  const Weights tied =
      *Weights::FromFile(MakeTensorFile({{"a", w}, {"b", w}, {"c", last}, {"mean", {0.1F}}}, {}));
  const Weights alone =
      *Weights::FromFile(MakeTensorFile({{"a", w}, {"c", last}, {"mean", {0.1F}}}, {}));
  for (const DeltaEncoding encoding : kLossy) {
    const std::string file = EncodeDelta(tied, kBuffers, encoding, Random(), {{"b", "a"}});
    ASSERT_OK_AND_ASSIGN(const std::string decoded, Decode(file, tied, encoding));
    EXPECT_EQ(TensorValues<float>(decoded, "a"), TensorValues<float>(decoded, "b"));
    // Without the tie they come apart.
    ASSERT_OK_AND_ASSIGN(const std::string torn,
                         Decode(EncodeDelta(tied, kBuffers, encoding, Random()), tied, encoding));
    EXPECT_NE(TensorValues<float>(torn, "a"), TensorValues<float>(torn, "b"));
    // The second name draws nothing.
    ASSERT_OK_AND_ASSIGN(const std::string expected,
                         Decode(EncodeDelta(alone, kBuffers, encoding, Random()), alone, encoding));
    for (const char* const name : {"a", "c", "mean"}) {
      EXPECT_EQ(TensorValues<float>(decoded, name), TensorValues<float>(expected, name)) << name;
    }
  }
}

}  // namespace
}  // namespace distillery
