// Log-mel spectrograms against NumPy's.
#include "common/data/log_mel.h"

#include "tests/common/status_matchers.h"
#include "tests/golden/golden_file.h"

namespace distillery {
namespace {

TEST(GoldenLogMel, IsNumPysToTheNearestStep) {
  const nlohmann::json golden = ReadGolden("log_mel.json");
  ASSERT_EQ(golden.at("cases").size(), 3U);
  for (const nlohmann::json& one : golden.at("cases")) {
    const int64_t samples = one.at("samples");
    const LogMelOptions options{one.at("bands"), one.at("window"), one.at("hop")};
    std::vector<float> sound(static_cast<size_t>(samples));
    for (int64_t i = options.window / 2; i < samples; ++i) {
      sound[static_cast<size_t>(i)] = static_cast<float>(i * 7919 % 1009 - 504) / 1024;
    }
    ASSERT_OK_AND_ASSIGN(const LogMel log_mel, LogMel::Create(options, one.at("rate"), samples));
    ASSERT_EQ(log_mel.frames(), one.at("frames").get<int64_t>());
    std::vector<float> made(static_cast<size_t>(log_mel.bands() * log_mel.frames()));
    log_mel.Compute(sound.data(), made.data());
    const std::vector<double> expected = Flatten(one.at("values"));
    ASSERT_EQ(made.size(), expected.size());
    for (size_t i = 0; i < made.size(); ++i) {
      EXPECT_NEAR(made[i], expected[i], 1.0 / 2048 + 1e-9) << "place " << i;
    }
  }
}

}  // namespace
}  // namespace distillery
