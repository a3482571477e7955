#include "common/data/data_options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/json_fields.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/base/text_file.h"
#include "common/data/class_files.h"
#include "common/data/sound_file.h"

namespace distillery {
namespace {

constexpr int64_t kMaxDataOptionsBytes = 65536;
// Of a recording as a sample.
constexpr int64_t kMostSamples = int64_t{1} << 24;

void VisitBounded(JsonReader& reader, const std::string& key, int64_t most, int64_t& value) {
  if (reader.FindOptional(key) == nullptr) return;
  reader.Optional(key, value);
  if (value < 1 || value > most) {
    reader.Fail(key, absl::StrCat("must be a whole number from 1 to ", most));
  }
}

void VisitAnswer(JsonReader& reader, std::optional<AnswerKind>& answer) {
  static const JsonNames<AnswerKind> kKinds = {{AnswerKind::kClasses, "classes"},
                                               {AnswerKind::kValues, "values"}};
  if (reader.FindOptional("answer") == nullptr) return;
  answer = AnswerKind::kClasses;
  reader.OneOf("answer", *answer, kKinds);
}

void Visit(JsonReader& reader, ArrayOptions& options) {
  if (reader.FindOptional("vocabulary") == nullptr) return;
  VisitBounded(reader, "vocabulary", kMaxVocabulary, options.vocabulary.emplace(0));
}

void Visit(JsonReader& reader, TableOptions& options) {
  reader.Optional("label", options.label);
  VisitAnswer(reader, options.answer);
  reader.Optional("categorical", options.categorical);
}

void Visit(JsonReader& reader, TextOptions& options) {
  VisitBounded(reader, "length", kMaxLength, options.length);
  VisitAnswer(reader, options.answer);
}

void Visit(JsonReader& reader, SoundOptions& options) {
  static const JsonNames<bool> kFeatures = {{false, "raw"}, {true, "log_mel"}};
  static const JsonNames<bool> kPlaces = {{false, "start"}, {true, "centre"}};
  VisitBounded(reader, "rate", kHighestRate, options.rate);
  VisitBounded(reader, "length", kMostSamples, options.length);
  if (reader.FindOptional("crop") != nullptr) reader.OneOf("crop", options.centre, kPlaces);
  bool spectrogram = false;
  if (reader.FindOptional("features") != nullptr) {
    reader.OneOf("features", spectrogram, kFeatures);
  }
  LogMelOptions log_mel;
  for (const auto& [key, number] :
       {std::pair{"mel_bands", &log_mel.bands}, std::pair{"window", &log_mel.window},
        std::pair{"hop", &log_mel.hop}}) {
    if (reader.FindOptional(key) != nullptr && !spectrogram) {
      reader.Fail(key, "is for \"features\": \"log_mel\"");
    }
    reader.Optional(key, *number);
  }
  if (spectrogram) options.log_mel = log_mel;
  reader.Optional("skip_corrupt", options.skip_corrupt);
  ReadTestFraction(reader, options.test_fraction);
  if (reader.FindOptional("rate") != nullptr && options.rate < kLowestRate) {
    reader.Fail("rate", absl::StrCat("must be ", kLowestRate, " to ", kHighestRate, " Hz"));
  }
  if (options.length == 0) {
    reader.Fail("length",
                "must say how many samples each recording is made, such as {\"length\": 16000}");
  }
}

template <typename Options>
absl::StatusOr<Options> Parse(const std::string& text) {
  const absl::StatusOr<Json> json = ParseJsonObject(text, /*most_depth=*/2);
  if (!json.ok()) return Annotate(json.status(), kOptionsFile);
  Options options;
  absl::Status status;
  JsonReader reader(*json, "", &status);
  Visit(reader, options);
  reader.Finish();
  if (!status.ok()) return Annotate(status, kOptionsFile);
  return options;
}

template <typename Options>
absl::StatusOr<Options> Read(const std::string& folder) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadOptionsText(folder));
  return Parse<Options>(text);
}

}  // namespace

absl::StatusOr<std::string> ReadOptionsText(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/", kOptionsFile);
  if (!NameIsTaken(path)) return "{}";
  return ReadTextFile(path, kMaxDataOptionsBytes);
}

absl::StatusOr<ArrayOptions> ParseArrayOptions(const std::string& text) {
  return Parse<ArrayOptions>(text);
}
absl::StatusOr<TableOptions> ParseTableOptions(const std::string& text) {
  return Parse<TableOptions>(text);
}
absl::StatusOr<TextOptions> ParseTextOptions(const std::string& text) {
  return Parse<TextOptions>(text);
}

absl::StatusOr<SoundOptions> ParseSoundOptions(const std::string& text) {
  return Parse<SoundOptions>(text);
}

absl::StatusOr<ArrayOptions> ReadArrayOptions(const std::string& folder) {
  return Read<ArrayOptions>(folder);
}
absl::StatusOr<TableOptions> ReadTableOptions(const std::string& folder) {
  return Read<TableOptions>(folder);
}
absl::StatusOr<TextOptions> ReadTextOptions(const std::string& folder) {
  return Read<TextOptions>(folder);
}
absl::StatusOr<SoundOptions> ReadSoundOptions(const std::string& folder) {
  return Read<SoundOptions>(folder);
}

}  // namespace distillery
