// One pass over bytes that come in pieces finds what a look at the whole file finds.
#include "coordinator/upload/weights_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

absl::Status Scanned(const std::string& file, size_t piece, std::string* sha256 = nullptr) {
  WeightsScan scan(*WeightsLayout::Parse(file));
  for (size_t at = 0; at < file.size(); at += piece) {
    scan.Update(absl::string_view(file).substr(at, piece));
  }
  if (sha256 != nullptr) *sha256 = scan.HexDigest();
  return scan.finite();
}

class WeightsScanTest : public ::testing::TestWithParam<size_t> {};

TEST_P(WeightsScanTest, FindsEveryPlaceOfANan) {
  const size_t piece = GetParam();
  const std::vector<std::string> names = {"a", "b", "c"};
  for (const std::string& name : names) {
    for (size_t i = 0; i < 5; ++i) {
      // An empty tensor lies among them.
      std::map<std::string, std::vector<float>> vectors = {
          {"a", {1, 2, 3, 4, 5}}, {"b", {1, 2, 3, 4, 5}}, {"bb", {}}, {"c", {1, 2, 3, 4, 5}}};
      EXPECT_THAT(Scanned(MakeTensorFile(vectors), piece), IsOk());
      vectors[name][i] = kNan;
      // The first one is named.
      vectors["c"][4] = kNan;
      EXPECT_THAT(Scanned(MakeTensorFile(vectors), piece),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           ::testing::HasSubstr("tensor \"" + name + "\" holds NaN")))
          << name << i;
    }
  }
}

TEST_P(WeightsScanTest, HashesAllBytes) {
  const std::string file = MakeTensorFile({{"a", {1, 2, kNan}}, {"b", {4}}}, {{"steps", -1}});
  std::string sha256;
  EXPECT_FALSE(Scanned(file, GetParam(), &sha256).ok());
  EXPECT_EQ(sha256, Sha256Hex(file));
}

TEST_P(WeightsScanTest, IntegersAreNeverNan) {
  EXPECT_THAT(Scanned(MakeTensorFile({{"w", {1}}}, {{"steps", -1}}), GetParam()), IsOk());
}

INSTANTIATE_TEST_SUITE_P(Pieces, WeightsScanTest, ::testing::Values(1, 2, 3, 5, 7, 64, 100000));

TEST(WeightsScan, WithoutALayoutHashesAlone) {
  WeightsScan scan{WeightsLayout()};
  scan.Update(std::string(100, '\xFF'));
  EXPECT_THAT(scan.finite(), IsOk());
  EXPECT_EQ(scan.HexDigest(), Sha256Hex(std::string(100, '\xFF')));
}

// A tensor of `type` with one element of these little-endian bytes.
std::string OneElement(ElementType type, const std::string& bytes) {
  TensorSpec spec;
  spec.name = "layer.weight";
  spec.type = type;
  Weights weights(*WeightsLayout::Create({spec}));
  std::copy(bytes.begin(), bytes.end(), weights.Bytes(weights.layout().tensors()[0]));
  return weights.file();
}

absl::Status Check(const std::string& file) { return CheckFinite(*TensorSource::OfBytes(file)); }

struct FiniteCase {
  const char* name;
  ElementType type;
  std::string infinity;
  std::string nan;
  std::string largest;
};

class CheckFiniteTest : public ::testing::TestWithParam<FiniteCase> {};

TEST_P(CheckFiniteTest, RefusesInfinityAndNanAndTakesTheLargestNumber) {
  const FiniteCase& c = GetParam();
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("\"layer.weight\""));
  EXPECT_THAT(Check(OneElement(c.type, c.infinity)), refused);
  EXPECT_THAT(Check(OneElement(c.type, c.nan)), refused);
  EXPECT_THAT(Check(OneElement(c.type, c.largest)), IsOk());
}

// IEEE 754: all exponent bits set means infinity (mantissa 0) or NaN.
INSTANTIATE_TEST_SUITE_P(
    Types, CheckFiniteTest,
    ::testing::Values(
        FiniteCase{"F16", ElementType::kFloat16, {"\x00\xFC", 2}, {"\x01\x7C", 2}, {"\xFF\x7B", 2}},
        FiniteCase{
            "BF16", ElementType::kBFloat16, {"\x80\xFF", 2}, {"\xC0\x7F", 2}, {"\x7F\x7F", 2}},
        FiniteCase{"F32",
                   ElementType::kFloat32,
                   {"\x00\x00\x80\xFF", 4},
                   {"\x01\x00\x80\x7F", 4},
                   {"\xFF\xFF\x7F\x7F", 4}},
        FiniteCase{"F64",
                   ElementType::kFloat64,
                   {"\0\0\0\0\0\0\xF0\x7F", 8},
                   {"\x01\0\0\0\0\0\xF0\xFF", 8},
                   {"\xFF\xFF\xFF\xFF\xFF\xFF\xEF\x7F", 8}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(CheckFinite, IntegersAreNeverNan) {
  EXPECT_THAT(Check(OneElement(ElementType::kInt64, std::string(8, '\xFF'))), IsOk());
}

}  // namespace
}  // namespace distillery
