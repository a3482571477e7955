#include "common/data/sound_file.h"

#include <cmath>
#include <limits>

#include "tests/common/data/sound_bytes.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kAll = std::numeric_limits<double>::infinity();
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

absl::StatusOr<Sound> Decode(const std::string& bytes, double seconds = kAll) {
  return DecodeSound(bytes, "a.wav", seconds);
}

TEST(SoundFile, SixteenBitsAreTakenAsTheyAre) {
  ASSERT_OK_AND_ASSIGN(const Sound sound, Decode(WavBytes({0, 1, -1, 32767, -32768}, 11025)));
  EXPECT_EQ(sound.rate, 11025);
  EXPECT_THAT(sound.samples, ElementsAre(0, 1, -1, 32767, -32768));
}

TEST(SoundFile, OtherTypesAreRoundedToSixteenBits) {
  ASSERT_OK_AND_ASSIGN(const Sound bytes,
                       Decode(WavFile(1, 1, 8000, 8, std::string("\x80\xFF\x00\x81", 4))));
  EXPECT_THAT(bytes.samples, ElementsAre(0, 127 * 256, -32768, 256));
  std::string data;
  for (const int64_t sample : {0x100, 0x180, 0x17F, -0x80, 0x7FFFFF}) {
    data += LittleEndian(static_cast<uint64_t>(sample), 3);
  }
  ASSERT_OK_AND_ASSIGN(const Sound three, Decode(WavFile(1, 1, 8000, 24, data)));
  EXPECT_THAT(three.samples, ElementsAre(1, 2, 1, 0, 32767));
  ASSERT_OK_AND_ASSIGN(const Sound floats,
                       Decode(WavFile(3, 1, 8000, 32, FloatBytes({0.5, -1, 1, 3, -7, 1e-9F}))));
  EXPECT_THAT(floats.samples, ElementsAre(16384, -32768, 32767, 32767, -32768, 0));
}

TEST(SoundFile, ChannelsBecomeTheirMean) {
  const std::string two = WavFile(
      1, 2, 8000, 16,
      LittleEndian(100, 2) + LittleEndian(201, 2) + LittleEndian(7, 2) + LittleEndian(0xFFF9, 2));
  ASSERT_OK_AND_ASSIGN(const Sound sound, Decode(two));
  EXPECT_THAT(sound.samples, ElementsAre(151, 0));
}

TEST(SoundFile, OnlyTheSecondsWantedAreDecoded) {
  ASSERT_OK_AND_ASSIGN(const Sound sound, Decode(WavBytes({1, 2, 3, 4}, 1000), 0.002));
  EXPECT_THAT(sound.samples, ElementsAre(1, 2));
  ASSERT_OK_AND_ASSIGN(const Sound least, Decode(WavBytes({1, 2, 3, 4}, 1000), 0));
  EXPECT_THAT(least.samples, ElementsAre(1));
}

TEST(SoundFile, WhatIsNoSoundIsRefusedInOneLine) {
  EXPECT_THAT(Decode(""), StatusIs(kDataLoss, "a.wav is empty"));
  EXPECT_THAT(Decode(WavBytes({})), StatusIs(kDataLoss, "a.wav has no samples"));
  EXPECT_THAT(Decode("<!DOCTYPE html><html>"),
              StatusIs(kInvalid, AllOf(HasSubstr("a.wav is no sound file"), HasSubstr("HTML"))));
  EXPECT_THAT(Decode("some text"), StatusIs(kInvalid, HasSubstr("libsndfile says")));
  EXPECT_THAT(Decode(WavBytes({1}, 999)), StatusIs(kInvalid, HasSubstr("is at 999 Hz")));
  EXPECT_THAT(Decode(WavBytes({1}, 384001)), StatusIs(kInvalid, HasSubstr("1000 to 384000")));
  EXPECT_THAT(Decode(WavFile(1, 17, 8000, 16, std::string(34, 'x'))),
              StatusIs(kInvalid, HasSubstr("17 channels")));
  for (const float odd : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(Decode(WavFile(3, 1, 8000, 32, FloatBytes({0, odd}))),
                StatusIs(kInvalid, HasSubstr("NaN or infinite")));
  }
}

TEST(SoundFile, AWavThatIsCutShortAnywhereIsDamaged) {
  const std::string whole = WavBytes({1, 2, 3, 4});
  for (size_t size = 12; size < whole.size(); ++size) {
    EXPECT_THAT(Decode(whole.substr(0, size)), StatusIs(kDataLoss, HasSubstr("a.wav is cut short")))
        << size;
  }
}

TEST(SoundFile, AWavOfUnknownSizeGoesOnToItsEnd) {
  std::string stream = WavBytes({1, 2, 3});
  stream.replace(4, 4, "\xFF\xFF\xFF\xFF");
  stream.replace(40, 4, "\xFF\xFF\xFF\xFF");
  ASSERT_OK_AND_ASSIGN(const Sound sound, Decode(stream));
  EXPECT_THAT(sound.samples, ElementsAre(1, 2, 3));
}

TEST(SoundFile, EndingsAreKnownInCapitalsToo) {
  EXPECT_TRUE(HasSoundExtension("x.WAV"));
  EXPECT_TRUE(HasSoundExtension("x.flac"));
  EXPECT_FALSE(HasSoundExtension("wav"));
  EXPECT_FALSE(HasSoundExtension("x.mp4"));
}

}  // namespace
}  // namespace distillery
