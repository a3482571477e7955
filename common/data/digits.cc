#include "common/data/digits.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/data/gzip.h"

extern "C" {
extern const char distillery_digits_begin[];
extern const char distillery_digits_end[];
}

namespace distillery {
namespace {

constexpr int64_t kPixels = 64;
constexpr int64_t kTrainingSamples = 1400;
constexpr int64_t kSplitSeed = 1;

}  // namespace

absl::StatusOr<StoredSamples> ParseDigitsCsv(absl::string_view text) {
  StoredSamples samples;
  samples.name = "digits";
  samples.spec = SampleSpec::Pictures({1, 8, 8}, 255);
  samples.spec.inputs[0].pixel_max = 16;
  for (int i = 0; i < 10; ++i) samples.class_names.push_back(std::to_string(i));
  int line_number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    ++line_number;
    int64_t column = 0;
    for (const absl::string_view field : absl::StrSplit(line, ',')) {
      int value = 0;
      const int limit = column < kPixels ? 16 : 9;
      if (column > kPixels || !absl::SimpleAtoi(field, &value) || value < 0 || value > limit) {
        return absl::DataLossError(absl::StrCat("digits: line ", line_number, ": value ",
                                                column + 1, " must be 0 to ", limit));
      }
      if (column < kPixels) {
        samples.records.push_back(static_cast<uint8_t>(value));
      } else {
        samples.labels.push_back(value);
      }
      ++column;
    }
    if (column != kPixels + 1) {
      return absl::DataLossError(
          absl::StrCat("digits: line ", line_number, " has ", column, " values, not 65"));
    }
  }
  return samples;
}

absl::StatusOr<StoredSamples> ReadBuiltInDigits() {
  const absl::string_view compressed(
      distillery_digits_begin,
      static_cast<size_t>(distillery_digits_end - distillery_digits_begin));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text,
                              GunzipBytes(compressed, 1 << 20, "built-in digits"));
  DISTILLERY_ASSIGN_OR_RETURN(StoredSamples samples, ParseDigitsCsv(text));
  const std::vector<int64_t> order =
      Permutation(samples.size(), RandomStream(kSplitSeed, "digits-split"));
  for (int64_t i = 0; i < samples.size(); ++i) {
    (i < kTrainingSamples ? samples.train : samples.test).push_back(order[i]);
  }
  return samples;
}

}  // namespace distillery
