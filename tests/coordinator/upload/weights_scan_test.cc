// One pass over bytes that come in pieces finds what a look at the whole file finds.
#include "coordinator/upload/weights_scan.h"

#include <cmath>
#include <limits>

#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

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

}  // namespace
}  // namespace distillery
