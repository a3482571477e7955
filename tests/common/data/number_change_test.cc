#include "common/data/number_change.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "common/data/augmentation.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

template <typename T>
std::vector<T> Seen(const std::string& text, const InputSpec& input, const std::vector<T>& numbers,
                    int64_t view) {
  std::vector<T> output(numbers.size());
  Augmentation::Parse(text)->ApplyTo(input, reinterpret_cast<const uint8_t*>(numbers.data()), 1, 2,
                                     view, reinterpret_cast<uint8_t*>(output.data()));
  return output;
}

InputSpec Floats(const std::string& name, int64_t length) {
  return {name, ElementType::kFloat32, {1, length}, 0, 0};
}

TEST(NumberChange, ShiftMovesSoundAndPutsZerosIn) {
  const std::vector<float> sound = {1, 2, 3, 4, 5};
  std::set<std::vector<float>> seen;
  for (int64_t view = 0; view < 100; ++view) {
    seen.insert(Seen("shift:1", Floats("audio", 5), sound, view));
  }
  EXPECT_EQ(seen, (std::set<std::vector<float>>{sound, {0, 1, 2, 3, 4}, {2, 3, 4, 5, 0}}));
  EXPECT_EQ(Seen("shift:1000000", Floats("audio", 5), sound, 1), std::vector<float>(5));
}

TEST(NumberChange, GainIsWithinItsDecibels) {
  for (int64_t view = 0; view < 200; ++view) {
    const float factor = Seen<float>("gain:6", Floats("audio", 1), {1}, view)[0];
    EXPECT_GE(factor, 0.5011F);
    EXPECT_LE(factor, 1.9953F);
  }
  constexpr float kMost = std::numeric_limits<float>::max();
  for (int64_t view = 0; view < 20; ++view) {
    EXPECT_TRUE(std::isfinite(Seen<float>("gain:40", Floats("audio", 1), {kMost}, view)[0]));
  }
}

TEST(NumberChange, NoiseHasItsDeviation) {
  const std::vector<float> seen =
      Seen("noise:10", Floats("features", 10000), std::vector<float>(10000, 3), 0);
  double sum = 0;
  double squares = 0;
  for (const float number : seen) {
    sum += number - 3.0;
    squares += (number - 3.0) * (number - 3.0);
    EXPECT_LE(std::fabs(number - 3), 0.347F);
  }
  EXPECT_NEAR(sum / 10000, 0, 0.004);
  EXPECT_NEAR(std::sqrt(squares / 10000), 0.1, 0.003);
}

TEST(NumberChange, MaskPutsTheTokenOfPaddingInSomePlaces) {
  const InputSpec tokens{"tokens", ElementType::kInt64, {1000}, 0, 8};
  const std::vector<int64_t> seen = Seen("mask:20", tokens, std::vector<int64_t>(1000, 7), 3);
  int64_t masked = 0;
  for (const int64_t token : seen) {
    EXPECT_TRUE(token == 0 || token == 7);
    masked += token == 0 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(masked), 200, 60);
}

TEST(NumberChange, OfNoStrengthIsTheIdentityAndOtherInputsStay) {
  const std::vector<float> numbers = {1, -2, 3.5F};
  for (const char* const text : {"shift:0", "gain:0", "noise:0", "mask:90", "flip", "erase"}) {
    EXPECT_EQ(Seen(text, Floats("audio", 3), numbers, 4), numbers) << text;
  }
  EXPECT_EQ(Seen("shift:9+gain:9", Floats("features", 3), numbers, 4), numbers);
}

}  // namespace
}  // namespace distillery
