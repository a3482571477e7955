#include "common/soft_targets/format.h"

#include <cmath>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(SoftTargetFormat, AcceptsEveryUsefulTemperature) {
  for (const double temperature : {1e-3, 0.5, 1.0, 20.0, 1e6}) {
    SoftTargetFormat format;
    format.temperature = temperature;
    EXPECT_THAT(format.Validate(10), IsOk()) << temperature;
  }
}

TEST(SoftTargetFormat, RefusesTemperaturesThatAreNotPositiveFloats) {
  // 1e-300 is > 0, but 0 as the float32 that the logits are divided by; 1e300 is infinity.
  for (const double temperature :
       {0.0, -0.0, -1.0, std::nan(""), HUGE_VAL, -HUGE_VAL, 1e-300, 1e300}) {
    SoftTargetFormat format;
    format.temperature = temperature;
    EXPECT_THAT(format.Validate(10),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature")))
        << temperature;
  }
}

TEST(SoftTargetFormat, TopKIsOneToTheNumberOfClasses) {
  SoftTargetFormat format;
  format.encoding = Encoding::kTopK;
  for (const int64_t good : {1, 9, 10}) {
    format.top_k = good;
    EXPECT_THAT(format.Validate(10), IsOk()) << good;
  }
  for (const int64_t bad : {-1, 0, 11}) {
    format.top_k = bad;
    EXPECT_THAT(format.Validate(10),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top_k must be 1 to")))
        << bad;
  }
}

TEST(SoftTargetFormat, OtherEncodingsHaveNoTopK) {
  for (const Encoding encoding : {Encoding::kFloat32, Encoding::kFloat16, Encoding::kInt8}) {
    SoftTargetFormat format;
    format.encoding = encoding;
    EXPECT_THAT(format.Validate(10), IsOk());
    format.top_k = 1;
    EXPECT_THAT(format.Validate(10),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(EncodingName(encoding))));
  }
}

TEST(SoftTargetFormat, AKindOfAnswerRefusesWhatItDoesNotHave) {
  const auto of = [](AnswerKind kind) { return AnswerShape(AnswerSpec{kind, {7}}, 10); };
  SoftTargetFormat probabilities;
  probabilities.representation = Representation::kProbabilities;
  SoftTargetFormat top_k;
  top_k.encoding = Encoding::kTopK;
  top_k.top_k = 3;
  SoftTargetFormat softened;
  softened.temperature = 2;
  SoftTargetFormat bytes;
  bytes.encoding = Encoding::kInt8;
  for (const SoftTargetFormat& format : {probabilities, top_k, softened, bytes}) {
    EXPECT_THAT(format.Validate(of(AnswerKind::kClasses)), IsOk());
  }
  const auto refused = [](const std::string& text) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
  };
  EXPECT_THAT(probabilities.Validate(of(AnswerKind::kMultilabel)), IsOk());
  EXPECT_THAT(softened.Validate(of(AnswerKind::kMultilabel)), IsOk());
  EXPECT_THAT(bytes.Validate(of(AnswerKind::kMultilabel)), IsOk());
  EXPECT_THAT(top_k.Validate(of(AnswerKind::kMultilabel)), refused("top_k is for classes"));
  EXPECT_THAT(bytes.Validate(of(AnswerKind::kValues)), IsOk());
  EXPECT_THAT(top_k.Validate(of(AnswerKind::kValues)), refused("top_k is for classes"));
  EXPECT_THAT(probabilities.Validate(of(AnswerKind::kValues)), refused("have no probabilities"));
  EXPECT_THAT(softened.Validate(of(AnswerKind::kValues)), refused("temperature must be 1"));
  // Samples alone have no soft targets.
  softened.representation = Representation::kNone;
  EXPECT_THAT(softened.Validate(of(AnswerKind::kValues)), IsOk());
}

TEST(SoftTargetFormat, EachPositionHasARowOfItsOwn) {
  const AnswerShape tagger(AnswerSpec{AnswerKind::kClasses, {64}}, 1000);
  SoftTargetFormat format;
  format.encoding = Encoding::kTopK;
  format.top_k = 16;
  EXPECT_EQ(format.SizesOf(2, tagger).total(), 2 * 64 * 66);
  const AnswerShape pixels(AnswerSpec{AnswerKind::kClasses, {32, 16}}, 11);
  const std::vector<EncodedTensor> tensors = format.Tensors(3, pixels);
  EXPECT_EQ(tensors[0].shape, (std::vector<int64_t>{3, 32, 16, 16}));
  EXPECT_EQ(tensors[2].shape, (std::vector<int64_t>{3, 32, 16}));
}

TEST(SoftTargetFormat, SizesFollowTheEncoding) {
  SoftTargetFormat format;
  EXPECT_EQ(format.SizesOf(3, 1000).total(), 3 * 4000);
  format.encoding = Encoding::kFloat16;
  EXPECT_EQ(format.SizesOf(3, 1000).total(), 3 * 2000);
  format.encoding = Encoding::kInt8;
  EXPECT_EQ(format.SizesOf(3, 1000).values, 3 * 1000);
  EXPECT_EQ(format.SizesOf(3, 1000).row_scales, 3 * 4);
  format.encoding = Encoding::kTopK;
  format.top_k = 16;
  // 16 halves, 16 indexes of 2 bytes and one half.
  EXPECT_EQ(format.SizesOf(1, 1000).total(), 66);
  EXPECT_EQ(format.SizesOf(1, 32767).class_indexes, 32);
  EXPECT_EQ(format.SizesOf(1, 32768).class_indexes, 64);
  format.representation = Representation::kNone;
  EXPECT_EQ(format.SizesOf(3, 1000).total(), 0);
}

TEST(ParseEncoding, KnowsEachNameAndTheNearestOne) {
  for (const std::string& name : EncodingNames()) {
    EXPECT_EQ(EncodingName(*ParseEncoding(name)), name);
  }
  EXPECT_EQ(*ParseEncoding("int8"), Encoding::kInt8);
  EXPECT_THAT(ParseEncoding("topk").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean \"top_k\"?")));
}

TEST(Encodings, StandInTheOrderOfTheEnum) {
  for (size_t i = 0; i < Encodings().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(Encodings()[i].encoding), i);
    EXPECT_EQ(Encodings()[i].tensors.front().role, TensorRole::kValues);
  }
  for (size_t i = 0; i < std::size(kElementTypes); ++i) {
    EXPECT_EQ(static_cast<size_t>(kElementTypes[i].type), i);
  }
}

}  // namespace
}  // namespace distillery
