#include "common/data/resample.h"

#include <cmath>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kAll = int64_t{1} << 40;

std::vector<int16_t> Sine(double frequency, int64_t rate, int64_t samples) {
  std::vector<int16_t> sine;
  for (int64_t i = 0; i < samples; ++i) {
    sine.push_back(static_cast<int16_t>(
        std::lround(10000 * std::sin(2 * kPi * frequency * static_cast<double>(i) /
                                     static_cast<double>(rate)))));
  }
  return sine;
}

TEST(Resample, EqualRatesChangeNothing) {
  const std::vector<int16_t> sound{1, -2, 32767, -32768};
  EXPECT_EQ(Resample(sound, 8000, 8000, kAll), sound);
  EXPECT_EQ(Resample(sound, 8000, 8000, 2), (std::vector<int16_t>{1, -2}));
}

TEST(Resample, ATonePassesAtAnyRate) {
  for (const int64_t from : {4000, 11025, 16000, 44100, 48000}) {
    const std::vector<int16_t> made = Resample(Sine(440, from, from), from, 8000, kAll);
    const std::vector<int16_t> expected = Sine(440, 8000, 8000);
    ASSERT_EQ(made.size(), expected.size()) << from;
    // Its ends see silence beyond them.
    for (size_t i = 200; i + 200 < made.size(); ++i) {
      ASSERT_NEAR(made[i], expected[i], 30) << "from " << from << ", sample " << i;
    }
  }
}

TEST(Resample, AToneThatTheNewRateCannotHoldIsGone) {
  const std::vector<int16_t> made = Resample(Sine(7000, 16000, 16000), 16000, 8000, kAll);
  for (size_t i = 200; i + 200 < made.size(); ++i) ASSERT_LT(std::abs(made[i]), 40) << i;
}

TEST(Resample, AConstantStaysToTheLastBit) {
  const std::vector<int16_t> made = Resample(std::vector<int16_t>(2000, 12345), 44100, 16000, kAll);
  for (size_t i = 100; i + 100 < made.size(); ++i) ASSERT_EQ(made[i], 12345);
}

TEST(Resample, ThereAreAsManySamplesAsTheTimeHas) {
  EXPECT_EQ(Resample(std::vector<int16_t>(3), 8000, 16000, kAll).size(), 6U);
  EXPECT_EQ(Resample(std::vector<int16_t>(3), 16000, 8000, kAll).size(), 2U);
  EXPECT_EQ(Resample(std::vector<int16_t>(3), 16000, 8000, 1).size(), 1U);
  EXPECT_TRUE(Resample({}, 16000, 8000, kAll).empty());
}

TEST(Resample, TheFirstSamplesAreThoseOfTheWhole) {
  const std::vector<int16_t> sound = Sine(300, 11025, 4000);
  std::vector<int16_t> whole = Resample(sound, 11025, 8000, kAll);
  whole.resize(1000);
  EXPECT_EQ(Resample(sound, 11025, 8000, 1000), whole);
}

}  // namespace
}  // namespace distillery
