#include "common/data/sound_folder.h"

#include <cstring>

#include "common/data/catalog.h"
#include "common/data/data_options.h"
#include "tests/common/data/sound_bytes.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

class SoundFolderTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& bytes) {
    folder_.Write("words/" + name, bytes);
  }
  void WriteThree(const std::string& options) {
    Write("train/no/1.wav", WavBytes({1, 2, 3, 4, 5, 6}));
    Write("train/yes/1.wav", WavBytes({-32768, 16384}));
    Write("test/no/1.wav", WavBytes({7, 8, 9, 10}));
    Write("dataset.json", options);
  }
  absl::StatusOr<StoredSamples> Read() { return ReadSoundFolder("words", folder_.File("words")); }
  TemporaryFolder folder_;
};

// In sixteen-bit steps.
std::vector<int> Numbers(const StoredSamples& samples, int64_t index) {
  std::vector<float> numbers(static_cast<size_t>(samples.record_bytes()) / sizeof(float));
  std::memcpy(numbers.data(), samples.Record(index), numbers.size() * sizeof(float));
  std::vector<int> steps;
  for (const float number : numbers) steps.push_back(static_cast<int>(number * 32768));
  return steps;
}

TEST_F(SoundFolderTest, LongOnesAreCutAndShortOnesFilled) {
  WriteThree(R"({"length": 4})");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(CheckSamples(samples), IsOk());
  EXPECT_EQ(samples.spec.ToString(), "audio float32 [1, 4] -> classes");
  EXPECT_EQ(samples.spec.inputs[0].channels(), 1);
  EXPECT_THAT(samples.class_names, ElementsAre("no", "yes"));
  EXPECT_THAT(samples.labels, ElementsAre(0, 1, 0));
  EXPECT_THAT(Numbers(samples, 0), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Numbers(samples, 1), ElementsAre(-32768, 16384, 0, 0));
  EXPECT_THAT(samples.test, ElementsAre(2));
}

TEST_F(SoundFolderTest, TheMiddleMayBeTaken) {
  WriteThree(R"({"length": 4, "crop": "centre"})");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_THAT(Numbers(samples, 0), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(Numbers(samples, 1), ElementsAre(0, -32768, 16384, 0));
}

TEST_F(SoundFolderTest, AnotherRateIsRefusedUnlessOneIsSaid) {
  WriteThree(R"({"length": 4})");
  Write("train/yes/2.wav", WavBytes(std::vector<int>(64, 1000), 16000));
  EXPECT_THAT(Read(), StatusIs(kInvalid, AllOf(HasSubstr("train/yes/2.wav is at 16000 Hz"),
                                               HasSubstr("train/no/1.wav at 8000"),
                                               HasSubstr("{\"rate\": 8000}"))));
  Write("dataset.json", R"({"length": 32, "rate": 8000})");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(Numbers(samples, 2)[16], 1000);
}

TEST_F(SoundFolderTest, SpectrogramsArePicturesOfOneChannel) {
  WriteThree(R"({"length": 64, "features": "log_mel", "mel_bands": 4, "window": 32, "hop": 16})");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.spec.ToString(), "log_mel float32 [1, 4, 3] -> classes");
  EXPECT_EQ(samples.spec.inputs[0].channels(), 1);
}

TEST_F(SoundFolderTest, OptionsThatCannotBeAreRefusedWithTheirKey) {
  WriteThree("{}");
  for (const auto& [options, message] :
       {std::pair("{}", "length must say how many samples"),
        std::pair(R"({"length": 0})", "length must be a whole number from 1"),
        std::pair(R"({"length": 4, "rate": 20})", "rate must be 1000 to 384000 Hz"),
        std::pair(R"({"length": 4, "crop": "end"})", "crop must be start or centre"),
        std::pair(R"({"length": 4, "features": "mfcc"})", "features must be raw or log_mel"),
        std::pair(R"({"length": 4, "hop": 2})", "hop is for \"features\": \"log_mel\""),
        std::pair(R"({"length": 4, "test_fraction": 1})", "test_fraction must be above 0"),
        std::pair(R"({"length": 64, "features": "log_mel"})", "window must be at most the length"),
        std::pair(R"({"length": 64, "features": "log_mel", "window": 33})", "a power of two"),
        std::pair(R"({"length": 64, "features": "log_mel", "window": 16, "hop": 16})",
                  "mel_bands 40 are too many for a window of 16"),
        std::pair(R"({"length": 4, "rates": 8000})", "did you mean \"rate\"")}) {
    Write("dataset.json", options);
    EXPECT_THAT(Read(),
                StatusIs(kInvalid, AllOf(StartsWith("words: dataset.json"), HasSubstr(message))))
        << options;
  }
}

TEST_F(SoundFolderTest, BadFilesAreNamedTogetherOrLeftOut) {
  WriteThree(R"({"length": 4})");
  Write("train/no/0.wav", "");
  Write("train/yes/9.wav", WavBytes({1, 2, 3}).substr(0, 47));
  EXPECT_THAT(Read(), StatusIs(kDataLoss, AllOf(HasSubstr("2 of 5 sound files cannot be taken"),
                                                HasSubstr("train/no/0.wav is empty"),
                                                HasSubstr("train/yes/9.wav is cut short"),
                                                HasSubstr("skip_corrupt"))));
  Write("dataset.json", R"({"length": 4, "skip_corrupt": true})");
  ASSERT_OK_AND_ASSIGN(const StoredSamples samples, Read());
  EXPECT_EQ(samples.size(), 3);
  EXPECT_EQ(samples.left_out.size(), 2U);
}

TEST_F(SoundFolderTest, TheCatalogFindsThemByTheirFiles) {
  WriteThree(R"({"length": 4})");
  DatasetCatalog catalog(folder_.path());
  ASSERT_OK_AND_ASSIGN(const auto dataset, catalog.Open({"words", "train", 2}));
  EXPECT_EQ(dataset->size(), 2);
}

}  // namespace
}  // namespace distillery
