// The encoders for devices against those of the CPU.
#include "teacher_service/teachers/tensor_encoding.h"

#include <torch/types.h>

#include <cmath>
#include <cstring>

#include "common/base/half.h"
#include "common/soft_targets/encode.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

template <typename Value>
std::vector<Value> Values(const std::string& bytes) {
  std::vector<Value> values(bytes.size() / sizeof(Value));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::string Bytes(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.contiguous();
  return {static_cast<const char*>(flat.data_ptr()), flat.nbytes()};
}

SoftTargetFormat Format(double temperature, Representation representation, Encoding encoding,
                        int64_t top_k = 0) {
  SoftTargetFormat format;
  format.temperature = temperature;
  format.representation = representation;
  format.encoding = encoding;
  format.top_k = top_k;
  return format;
}

// Rows of every kind: random, with equal logits, all equal, huge, tiny.
at::Tensor Rows(int64_t classes) {
  torch::manual_seed(7);
  at::Tensor rows = torch::randn({64, classes}) * 5;
  rows[1] = rows[1].round();  // ties
  rows[2].fill_(0.25);
  rows[3] *= 1e5;
  rows[4] *= 1e-30;
  rows[5].zero_();
  rows[6] = torch::arange(classes, at::kFloat).neg();
  return rows;
}

EncodedRows OnCpu(const at::Tensor& logits, const SoftTargetFormat& format) {
  return EncodeSoftTargets(logits.data_ptr<float>(), logits.size(0), logits.size(1), format);
}

constexpr double kTemperatures[] = {1, 4, 0.7};

TEST(TensorEncoding, LogitsAreTheSameBits) {
  const at::Tensor logits = Rows(10);
  for (const double temperature : kTemperatures) {
    for (const Encoding encoding : {Encoding::kFloat32, Encoding::kFloat16}) {
      const SoftTargetFormat format = Format(temperature, Representation::kLogits, encoding);
      EXPECT_EQ(Bytes(EncodeTensors(logits, format).values), OnCpu(logits, format).values)
          << temperature << " " << EncodingName(encoding);
    }
  }
}

TEST(TensorEncoding, LogitsInInt8AreTheSameBits) {
  const at::Tensor logits = Rows(1000);
  for (const double temperature : kTemperatures) {
    const SoftTargetFormat format = Format(temperature, Representation::kLogits, Encoding::kInt8);
    const EncodedTensors got = EncodeTensors(logits, format);
    const EncodedRows expected = OnCpu(logits, format);
    EXPECT_EQ(Bytes(got.values), expected.values) << temperature;
    EXPECT_EQ(Bytes(got.row_scales), expected.row_scales) << temperature;
  }
}

TEST(TensorEncoding, ProbabilitiesAreWithinOneUnitInTheLastPlace) {
  const at::Tensor logits = Rows(1000);
  for (const double temperature : kTemperatures) {
    SoftTargetFormat format =
        Format(temperature, Representation::kProbabilities, Encoding::kFloat32);
    const auto got = Values<float>(Bytes(EncodeTensors(logits, format).values));
    const auto expected = Values<float>(OnCpu(logits, format).values);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], expected[i], expected[i] * 0x1p-23 + 1e-44) << i;
    }
    format.encoding = Encoding::kFloat16;
    const auto got_half = Values<uint16_t>(Bytes(EncodeTensors(logits, format).values));
    const auto expected_half = Values<uint16_t>(OnCpu(logits, format).values);
    for (size_t i = 0; i < got_half.size(); ++i) ASSERT_NEAR(got_half[i], expected_half[i], 1);
    format.encoding = Encoding::kInt8;
    const auto got_byte = Values<int8_t>(Bytes(EncodeTensors(logits, format).values));
    const auto expected_byte = Values<int8_t>(OnCpu(logits, format).values);
    for (size_t i = 0; i < got_byte.size(); ++i) ASSERT_NEAR(got_byte[i], expected_byte[i], 1);
  }
}

TEST(TensorEncoding, TopKHasTheSameClassesAndItsTail) {
  for (const int64_t classes : {10, 1000, 40000}) {
    const at::Tensor logits = Rows(classes);
    for (const double temperature : kTemperatures) {
      for (const int64_t top_k : {int64_t{1}, int64_t{8}, std::min<int64_t>(classes, 16)}) {
        if (top_k > classes) continue;
        const SoftTargetFormat format =
            Format(temperature, Representation::kLogits, Encoding::kTopK, top_k);
        const EncodedTensors got = EncodeTensors(logits, format);
        const EncodedRows expected = OnCpu(logits, format);
        ASSERT_EQ(Bytes(got.class_indexes), expected.class_indexes) << classes << " " << top_k;
        // As float16, one unit in the last place.
        const auto compare = [](const std::string& a, const std::string& b) {
          const auto x = Values<uint16_t>(a);
          const auto y = Values<uint16_t>(b);
          ASSERT_EQ(x.size(), y.size());
          for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1) << i;
        };
        compare(Bytes(got.values), expected.values);
        compare(Bytes(got.tail_mass), expected.tail_mass);
      }
    }
  }
}

TEST(TensorEncoding, AllClassesLeaveNoTail) {
  const at::Tensor logits = Rows(10);
  const SoftTargetFormat format = Format(1, Representation::kLogits, Encoding::kTopK, 10);
  EXPECT_EQ(EncodeTensors(logits, format).tail_mass.abs().sum().item<double>(), 0);
}

TEST(TensorEncoding, HalvesSaturateButInfinityStays) {
  const at::Tensor halves =
      ToHalf(torch::tensor({1e9F, -1e9F, INFINITY, -INFINITY, NAN, 1.5F})).to(at::kFloat);
  EXPECT_EQ(halves[0].item<float>(), 65504);
  EXPECT_EQ(halves[1].item<float>(), -65504);
  EXPECT_EQ(halves[2].item<float>(), INFINITY);
  EXPECT_EQ(halves[3].item<float>(), -INFINITY);
  EXPECT_TRUE(std::isnan(halves[4].item<float>()));
  EXPECT_EQ(halves[5].item<float>(), 1.5F);
}

}  // namespace
}  // namespace distillery
