#include "common/soft_targets/decode.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/soft_targets/encode.h"
#include "tests/common/soft_targets/random_rows.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

SoftTargetFormat Format(Encoding encoding, int64_t top_k = 0, double temperature = 1) {
  SoftTargetFormat format;
  format.encoding = encoding;
  format.top_k = top_k;
  format.temperature = temperature;
  return format;
}

SoftTargetRows RoundTrip(const std::vector<float>& logits, int64_t classes,
                         const SoftTargetFormat& format) {
  const auto rows = static_cast<int64_t>(logits.size()) / classes;
  const EncodedRows encoded = EncodeSoftTargets(logits.data(), rows, classes, format);
  SoftTargetRows decoded;
  EXPECT_THAT(AppendDecoded(EncodedView(encoded), rows, classes, format, &decoded), IsOk());
  EXPECT_EQ(decoded.row_count, rows);
  return decoded;
}

// What the encodings are tried on: random rows of all widths and magnitudes, and odd ones.
struct Case {
  int64_t classes;
  std::vector<float> logits;
};
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const int64_t classes : {1, 2, 10, 1000}) {
    for (const float magnitude : {1e-40F, 1e-3F, 1.0F, 20.0F, 1e30F}) {
      cases.push_back({classes, RandomLogits(9, classes, magnitude)});
    }
  }
  cases.push_back({33000, RandomLogits(2, 33000, 10)});
  cases.push_back({4, {2, 2, 2, 2, 0, 0, 0, 0, -1, -1, -1, -1}});
  cases.push_back({4, {1e30F, -1e30F, 0, 1e-45F, 3e38F, 3e38F, -3e38F, 1}});
  // Subnormals: scales of int8 that are too coarse, and none.
  cases.push_back({3, {1e-45F, -1e-45F, 0, 150 * 0x1p-149F, -90 * 0x1p-149F, 0x1p-149F}});
  return cases;
}

TEST(AppendDecoded, Float32IsExact) {
  for (const Case& one : Cases()) {
    EXPECT_EQ(RoundTrip(one.logits, one.classes, Format(Encoding::kFloat32)).values, one.logits);
  }
}

TEST(AppendDecoded, Float16IsWithinItsBound) {
  for (const Case& one : Cases()) {
    const std::vector<float> got =
        RoundTrip(one.logits, one.classes, Format(Encoding::kFloat16)).values;
    ASSERT_EQ(got.size(), one.logits.size());
    for (size_t i = 0; i < got.size(); ++i) {
      const float want = one.logits[i];
      if (std::abs(want) > 65504) {
        ASSERT_EQ(got[i], std::copysign(65504.0F, want));
      } else {
        // 2^-11 relative, half of 2^-24 absolute below 2^-14.
        ASSERT_LE(std::abs(got[i] - want), std::max(std::abs(want) * 0x1p-11F, 0x1p-25F)) << want;
      }
    }
  }
}

TEST(AppendDecoded, Int8IsWithinHalfAScale) {
  for (const Case& one : Cases()) {
    for (const double temperature : {1.0, 3.0}) {
      const SoftTargetFormat format = Format(Encoding::kInt8, 0, temperature);
      const std::vector<float> got = RoundTrip(one.logits, one.classes, format).values;
      const auto classes = static_cast<size_t>(one.classes);
      double largest = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        if (i % classes == 0) {
          const auto row = one.logits.begin() + static_cast<int64_t>(i);
          const auto [low, high] = std::minmax_element(row, row + one.classes);
          largest = std::max<double>(std::abs(*low), std::abs(*high)) / temperature;
        }
        // Float rounding: of z/T, the scale and the product, three parts in 2^24 of the value; and
        // a subnormal scale may be half a unit of 2^-149 off, 127 times.
        ASSERT_NEAR(got[i], one.logits[i] / temperature,
                    largest / 127 / 2 + largest * 0x1p-22 + 64 * 0x1p-149)
            << one.logits[i] << " of " << largest;
      }
    }
  }
}

TEST(AppendDecoded, TopKIsTheLargestProbabilitiesWithinTheirBound) {
  for (const Case& one : Cases()) {
    for (const int64_t k : {int64_t{1}, int64_t{3}, one.classes - 1, one.classes}) {
      if (k < 1 || k > one.classes) continue;
      SCOPED_TRACE(::testing::Message() << one.classes << " classes, k " << k);
      const SoftTargetRows got = RoundTrip(one.logits, one.classes, Format(Encoding::kTopK, k, 2));
      ASSERT_EQ(static_cast<int64_t>(got.probabilities.size()), got.row_count * k);
      EXPECT_TRUE(got.values.empty());
      for (int64_t row = 0; row < got.row_count; ++row) {
        const float* const logits = &one.logits[static_cast<size_t>(row * one.classes)];
        const float largest = *std::max_element(logits, logits + one.classes) / 2;
        const auto exponential = [&](int64_t c) {
          return std::exp(static_cast<double>(logits[c] / 2) - largest);
        };
        double sum = 0;
        for (int64_t c = 0; c < one.classes; ++c) sum += exponential(c);
        const auto near = [](double value, double expected) {
          // Through float32 on the way, hence the last digits.
          return std::abs(value - expected) <= std::max(expected * 0x1.001p-11, 0x1.001p-25);
        };
        std::set<int64_t> top;
        float least = kInfinity;
        for (int64_t i = row * k; i < (row + 1) * k; ++i) {
          const int32_t c = got.class_indexes[static_cast<size_t>(i)];
          top.insert(c);
          ASSERT_PRED2(near, got.probabilities[static_cast<size_t>(i)], exponential(c) / sum);
          ASSERT_LE(logits[c] / 2, least) << "largest first";
          least = logits[c] / 2;
        }
        double others = 0;
        for (int64_t c = 0; c < one.classes; ++c) {
          if (top.count(c) > 0) continue;
          others += exponential(c);
          ASSERT_LE(logits[c] / 2, least) << "class " << c << " belongs to the top";
        }
        ASSERT_PRED2(near, got.tail_mass[static_cast<size_t>(row)], others / sum);
      }
    }
  }
}

TEST(AppendDecoded, AppendsChunkAfterChunk) {
  const std::vector<float> logits = RandomLogits(6, 10, 5);
  for (const SoftTargetFormat& format :
       {Format(Encoding::kFloat16), Format(Encoding::kInt8), Format(Encoding::kTopK, 3)}) {
    const SoftTargetRows whole = RoundTrip(logits, 10, format);
    SoftTargetRows parts;
    for (const int64_t first : {0, 4}) {
      const int64_t count = first == 0 ? 4 : 2;
      const EncodedRows encoded = EncodeSoftTargets(&logits[first * 10], count, 10, format);
      ASSERT_THAT(AppendDecoded(EncodedView(encoded), count, 10, format, &parts), IsOk());
    }
    EXPECT_EQ(parts.row_count, 6);
    EXPECT_EQ(parts.values, whole.values);
    EXPECT_EQ(parts.probabilities, whole.probabilities);
    EXPECT_EQ(parts.class_indexes, whole.class_indexes);
    EXPECT_EQ(parts.tail_mass, whole.tail_mass);

    parts.Truncate(4);
    EXPECT_EQ(parts.row_count, 4);
    EXPECT_EQ(parts.values.size(), whole.values.size() / 6 * 4);
    EXPECT_EQ(parts.class_indexes.size(), whole.class_indexes.size() / 6 * 4);
    EXPECT_EQ(parts.tail_mass.size(), whole.tail_mass.size() / 6 * 4);
    parts.Truncate(0);
    EXPECT_EQ(parts.row_count, 0);
    EXPECT_TRUE(parts.values.empty() && parts.class_indexes.empty() && parts.tail_mass.empty());
  }
}

TEST(AppendDecoded, PositionsAreRowsOfTheirOwn) {
  const std::vector<float> logits = RandomLogits(6, 10, 5);
  const AnswerShape shape(AnswerSpec{AnswerKind::kClasses, {3}}, 10);
  for (const SoftTargetFormat& format :
       {Format(Encoding::kFloat32, 0, 2), Format(Encoding::kFloat16), Format(Encoding::kInt8),
        Format(Encoding::kTopK, 4, 2)}) {
    const EncodedRows encoded = EncodeSoftTargets(logits.data(), 2, shape, format);
    const EncodedRows alone = EncodeSoftTargets(logits.data(), 6, 10, format);
    for (const TensorRole role : kTensorRoles) EXPECT_EQ(encoded[role], alone[role]);
    SoftTargetRows rows;
    ASSERT_THAT(AppendDecoded(EncodedView(encoded), 2, shape, format, &rows), IsOk());
    EXPECT_EQ(rows.row_count, 2);
    const SoftTargetRows expected = RoundTrip(logits, 10, format);
    EXPECT_EQ(rows.values, expected.values);
    EXPECT_EQ(rows.probabilities, expected.probabilities);
    EXPECT_EQ(rows.tail_mass, expected.tail_mass);
    rows.Truncate(1);
    EXPECT_EQ(rows.values.size() + rows.tail_mass.size(),
              (expected.values.size() + expected.tail_mass.size()) / 2);
  }
  std::vector<float> bad = logits;
  bad[47] = kInfinity;  // row 1, position 1, class 7
  SoftTargetRows rows;
  const EncodedRows encoded = EncodeSoftTargets(bad.data(), 2, shape, {});
  EXPECT_THAT(
      AppendDecoded(EncodedView(encoded), 2, shape, {}, &rows),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("row 1, position 1, class 7 is inf")));
}

TEST(AppendDecoded, ProbabilitiesOfLabelsAreSigmoids) {
  const AnswerShape labels(AnswerSpec{AnswerKind::kMultilabel, {}}, 4);
  SoftTargetFormat format = Format(Encoding::kFloat32, 0, 2);
  format.representation = Representation::kProbabilities;
  const std::vector<float> logits = {0, 3, -800, 800};
  const EncodedRows encoded = EncodeSoftTargets(logits.data(), 1, labels, format);
  SoftTargetRows rows;
  ASSERT_THAT(AppendDecoded(EncodedView(encoded), 1, labels, format, &rows), IsOk());
  EXPECT_EQ(rows.values[0], 0.5F);
  EXPECT_FLOAT_EQ(rows.values[1], static_cast<float>(1 / (1 + std::exp(-1.5))));
  EXPECT_EQ(rows.values[2], 0);
  EXPECT_EQ(rows.values[3], 1);
}

TEST(AppendDecoded, NoneCountsRowsAlone) {
  SoftTargetFormat format;
  format.representation = Representation::kNone;
  SoftTargetRows rows;
  EXPECT_THAT(AppendDecoded(EncodedView{}, 3, 10, format, &rows), IsOk());
  EXPECT_EQ(rows.row_count, 3);
  EXPECT_TRUE(rows.values.empty());
}

// Three rows of ten classes in one format, to be damaged.
class Damage {
 public:
  explicit Damage(Encoding encoding)
      : format_(Format(encoding, encoding == Encoding::kTopK ? 4 : 0)),
        rows_(EncodeSoftTargets(RandomLogits(3, 10, 5).data(), 3, 10, format_)) {}

  EncodedRows& rows() { return rows_; }
  // Also checks that what was there before stays as it was.
  absl::Status Decode(int64_t row_count = 3) const {
    SoftTargetRows rows = RoundTrip(RandomLogits(2, 10, 5), 10, format_);
    const SoftTargetRows before = rows;
    const absl::Status status = AppendDecoded(EncodedView(rows_), row_count, 10, format_, &rows);
    EXPECT_EQ(rows.row_count, status.ok() ? 2 + row_count : 2);
    if (!status.ok()) {
      EXPECT_EQ(rows.values, before.values);
      EXPECT_EQ(rows.probabilities, before.probabilities);
      EXPECT_EQ(rows.class_indexes, before.class_indexes);
      EXPECT_EQ(rows.tail_mass, before.tail_mass);
    }
    return status;
  }

 private:
  const SoftTargetFormat format_;
  EncodedRows rows_;
};

template <typename T>
void Store(T value, size_t index, std::string* bytes) {
  ASSERT_LE((index + 1) * sizeof(T), bytes->size());
  std::memcpy(&(*bytes)[index * sizeof(T)], &value, sizeof(T));
}

template <typename Message>
auto IsDataLoss(const Message& message) {
  return StatusIs(absl::StatusCode::kDataLoss, message);
}

TEST(AppendDecoded, ATensorOfAnotherSizeIsDataLoss) {
  for (const Encoding encoding :
       {Encoding::kFloat32, Encoding::kFloat16, Encoding::kInt8, Encoding::kTopK}) {
    SCOPED_TRACE(EncodingName(encoding));
    ASSERT_THAT(Damage(encoding).Decode(), IsOk());
    for (const int64_t rows : {0, 2, 4}) {
      EXPECT_THAT(Damage(encoding).Decode(rows), IsDataLoss(HasSubstr("values has")));
    }
    const auto check = [&](const char* name, std::string EncodedRows::*tensor) {
      Damage longer(encoding);
      (longer.rows().*tensor) += 'x';
      EXPECT_THAT(longer.Decode(), IsDataLoss(HasSubstr(name)));
      Damage absent(encoding);
      if ((absent.rows().*tensor).empty()) return;
      (absent.rows().*tensor).clear();
      EXPECT_THAT(absent.Decode(), IsDataLoss(AllOf(HasSubstr(name), HasSubstr("0 bytes"))));
    };
    check("values", &EncodedRows::values);
    check("row_scales", &EncodedRows::row_scales);
    check("class_indexes", &EncodedRows::class_indexes);
    check("tail_mass", &EncodedRows::tail_mass);
  }
}

TEST(AppendDecoded, NumbersThatAreNotFiniteAreDataLoss) {
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
    Damage floats(Encoding::kFloat32);
    Store(bad, 2 * 10 + 4, &floats.rows().values);
    EXPECT_THAT(floats.Decode(), IsDataLoss(HasSubstr("row 2, class 4 is")));
    Damage scales(Encoding::kInt8);
    Store(bad, 1, &scales.rows().row_scales);
    EXPECT_THAT(scales.Decode(), IsDataLoss(HasSubstr("row 1, class")));
  }
  for (const uint16_t bad : {0x7E00, 0x7C00, 0xFC00, 0x7C01}) {  // NaN, infinities, NaN
    Damage halves(Encoding::kFloat16);
    Store(bad, 7, &halves.rows().values);
    EXPECT_THAT(halves.Decode(), IsDataLoss(HasSubstr("row 0, class 7 is")));
    Damage probability(Encoding::kTopK);
    Store(bad, 4 * 1 + 2, &probability.rows().values);
    EXPECT_THAT(probability.Decode(), IsDataLoss(HasSubstr("row 1: the probability of class")));
    Damage tail(Encoding::kTopK);
    Store(bad, 2, &tail.rows().tail_mass);
    EXPECT_THAT(tail.Decode(), IsDataLoss(HasSubstr("row 2: the tail's mass is")));
  }
}

TEST(AppendDecoded, AClassThatIsNotThereIsDataLoss) {
  for (const int16_t bad : {-1, 10, 32767, -32768}) {
    Damage damage(Encoding::kTopK);
    Store(bad, 4 * 2 + 3, &damage.rows().class_indexes);
    EXPECT_THAT(damage.Decode(),
                IsDataLoss(absl::StrCat("row 2: class ", bad, " is not one of 10")));
  }
}

TEST(AppendDecoded, AClassThatIsThereTwiceIsDataLoss) {
  Damage damage(Encoding::kTopK);
  const int16_t first = Elements<int16_t>(damage.rows().class_indexes)[4];
  Store(first, 4 + 3, &damage.rows().class_indexes);
  EXPECT_THAT(damage.Decode(), IsDataLoss(absl::StrCat("row 1: class ", first, " is there twice")));
}

TEST(AppendDecoded, WhatIsNoDistributionIsDataLoss) {
  Damage negative(Encoding::kTopK);
  Store(FloatToHalf(-0.25F), 0, &negative.rows().values);
  EXPECT_THAT(negative.Decode(), IsDataLoss(HasSubstr("is -0.25")));
  Damage large(Encoding::kTopK);
  Store(FloatToHalf(1.5F), 0, &large.rows().tail_mass);
  EXPECT_THAT(large.Decode(), IsDataLoss(HasSubstr("the tail's mass is 1.5")));

  // Row 1 becomes 1/4, 1/4, 1/4, 1/8 and a tail: sums of 0.985 and 1.015 are off by too much.
  for (const float tail : {0.110F, 0.120F, 0.130F, 0.140F}) {
    Damage sums(Encoding::kTopK);
    for (size_t i = 0; i < 4; ++i) {
      Store(FloatToHalf(i < 3 ? 0.25F : 0.125F), 4 + i, &sums.rows().values);
    }
    Store(FloatToHalf(tail), 1, &sums.rows().tail_mass);
    if (std::abs(tail - 0.125F) < 0.01F) {
      EXPECT_THAT(sums.Decode(), IsOk());
    } else {
      EXPECT_THAT(sums.Decode(), IsDataLoss(HasSubstr("row 1: probabilities and tail sum to")));
    }
  }
}

TEST(AppendDecoded, LogitsThatAreNotFiniteAreEncodedAndRefusedHere) {
  for (const float bad : {std::nanf(""), -std::nanf(""), kInfinity, -kInfinity}) {
    for (const size_t at : {0U, 5U, 9U}) {
      std::vector<float> logits = RandomLogits(1, 10, 5);
      logits[at] = bad;
      for (const int64_t k : {0, 1, 9, 10}) {
        for (const Encoding encoding : {Encoding::kFloat32, Encoding::kFloat16, Encoding::kInt8}) {
          for (const Representation representation :
               {Representation::kLogits, Representation::kProbabilities}) {
            SoftTargetFormat format = Format(k > 0 ? Encoding::kTopK : encoding, k);
            format.representation = representation;
            SCOPED_TRACE(::testing::Message()
                         << bad << ", " << EncodingName(format.encoding) << ", k " << k);
            const EncodedRows encoded = EncodeSoftTargets(logits.data(), 1, 10, format);
            SoftTargetRows rows;
            const absl::Status status = AppendDecoded(EncodedView(encoded), 1, 10, format, &rows);
            const bool softmax = k > 0 || representation == Representation::kProbabilities;
            // Halves saturate; the softmax of -infinity is 0.
            if ((softmax && bad == -kInfinity) ||
                (!softmax && encoding == Encoding::kFloat16 && std::isinf(bad))) {
              EXPECT_THAT(status, IsOk());
            } else {
              EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss));
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace distillery
