#include "cli/models/sample_input.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/json_fields.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text_file.h"
#include "common/data/byte_tokens.h"
#include "common/data/csv.h"
#include "common/data/image_file.h"
#include "common/data/image_resize.h"
#include "common/data/label_texts.h"
#include "common/data/numbers.h"
#include "common/data/sound_folder.h"
#include "common/data/text_folder.h"

namespace distillery {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{64} << 20;
// Lists within lists of a JSON row.
constexpr int kDeepest = 8;

std::string InputNames(const SampleSpec& spec) {
  return absl::StrJoin(spec.inputs, ", ", [](std::string* out, const InputSpec& input) {
    out->append(input.ToString());
  });
}

absl::Status TakesOther(absl::string_view what, const SampleSpec& spec) {
  return absl::InvalidArgumentError(
      absl::StrCat("the model takes no ", what, ", it takes ", InputNames(spec)));
}

// Checks a number as the readers of data sets do, and appends it.
struct NumberList {
  const InputSpec& input;
  InputNumbers numbers;

  explicit NumberList(const InputSpec& of) : input(of) {
    const ElementType type = ModelType(input);
    if (type == ElementType::kInt64) numbers = std::vector<int64_t>();
    if (type == ElementType::kUInt8) numbers = std::vector<uint8_t>();
  }

  int64_t size() const {
    return std::visit([](const auto& list) { return static_cast<int64_t>(list.size()); }, numbers);
  }

  absl::Status Wrong(absl::string_view why) const {
    return absl::InvalidArgumentError(absl::StrCat(input.name, "[", size(), "] ", why));
  }

  absl::Status Add(double number) {
    if (auto* const floats = std::get_if<std::vector<float>>(&numbers)) {
      const auto value = static_cast<float>(number);
      if (!std::isfinite(value)) return Wrong("is not finite");
      if (input.is_picture() && (value < 0 || value > 1)) {
        return Wrong(absl::StrCat("is ", number, ", pixels are 0 to 1"));
      }
      floats->push_back(value);
      return absl::OkStatus();
    }
    constexpr double kWhole = 9007199254740992;  // 2^53: each up to it is a double
    if (std::floor(number) != number || std::abs(number) > kWhole) {
      return Wrong(absl::StrCat("is ", number, ", wanted: a whole number"));
    }
    const auto whole = static_cast<int64_t>(number);
    if (input.vocabulary > 0 && (whole < 0 || whole >= input.vocabulary)) {
      return Wrong(absl::StrCat("is ", whole, ", tokens are 0 to ", input.vocabulary - 1));
    }
    if (auto* const list = std::get_if<std::vector<int64_t>>(&numbers)) {
      list->push_back(whole);
      return absl::OkStatus();
    }
    if (whole < 0 || whole > UINT8_MAX) {
      return Wrong(absl::StrCat("is ", whole, ", bytes are 0 to 255"));
    }
    std::get<std::vector<uint8_t>>(numbers).push_back(static_cast<uint8_t>(whole));
    return absl::OkStatus();
  }

  absl::Status AddAll(const Json& json) {
    if (json.is_array()) {
      for (const Json& one : json) DISTILLERY_RETURN_IF_ERROR(AddAll(one));
      return absl::OkStatus();
    }
    if (json.is_boolean()) return Add(json.get<bool>() ? 1 : 0);
    if (!json.is_number()) return Wrong("is no number");
    return Add(json.get<double>());
  }

  absl::Status CheckSize() const {
    if (size() == input.elements()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(input.name, " has ", size(), " numbers, ",
                                                   input.ToString(), " needs ", input.elements()));
  }
};

// The one input of tokens that are bytes, or null.
const InputSpec* TextInput(const SampleSpec& spec) {
  const auto found =
      std::find_if(spec.inputs.begin(), spec.inputs.end(), [](const InputSpec& input) {
        return input.vocabulary == kByteVocabulary && input.shape.size() == 1;
      });
  return found == spec.inputs.end() ? nullptr : &*found;
}

// The one input of a model that has one.
absl::StatusOr<const InputSpec*> OneInput(const SampleSpec& spec) {
  if (spec.inputs.size() == 1) return &spec.inputs.front();
  return absl::InvalidArgumentError(absl::StrCat("the model takes ", spec.inputs.size(),
                                                 " inputs, ", InputNames(spec),
                                                 ": give a JSON object with a list for each"));
}

absl::StatusOr<Sample> MakeCellSample(const std::vector<std::string>& cells,
                                      const SampleSpec& spec) {
  DISTILLERY_ASSIGN_OR_RETURN(const InputSpec* const input, OneInput(spec));
  Sample sample;
  sample.spec = spec;
  NumberList list(*input);
  for (const std::string& cell : cells) {
    const absl::string_view text = absl::StripAsciiWhitespace(cell);
    const absl::StatusOr<float> number = ParseNumber(text, CellPlace{"", 0, ""});
    if (!number.ok()) {
      return list.Wrong(text.empty() ? "is empty, wanted: a number"
                                     : absl::StrCat("is \"", Printable(text), "\", no number"));
    }
    DISTILLERY_RETURN_IF_ERROR(list.Add(static_cast<double>(*number)));
  }
  DISTILLERY_RETURN_IF_ERROR(list.CheckSize());
  sample.inputs.push_back(std::move(list.numbers));
  return sample;
}

absl::StatusOr<Sample> MakeJsonSample(absl::string_view text, const SampleSpec& spec) {
  DISTILLERY_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(std::string(text), kDeepest));
  if (json.contains("text") && TextInput(spec) != nullptr) {
    if (!json["text"].is_string()) return absl::InvalidArgumentError("text must be text");
    return MakeTextSample(json["text"].get<std::string>(), spec);
  }
  std::vector<std::string> names;
  for (const InputSpec& input : spec.inputs) names.push_back(input.name);
  for (const auto& [name, value] : json.items()) {
    // That of a data set's line.
    if (name == "label" || std::find(names.begin(), names.end(), name) != names.end()) continue;
    return absl::InvalidArgumentError(UnknownName("input", name, names));
  }
  Sample sample;
  sample.spec = spec;
  for (const InputSpec& input : spec.inputs) {
    if (!json.contains(input.name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("there is no ", input.name, ", the model takes ", InputNames(spec)));
    }
    NumberList list(input);
    DISTILLERY_RETURN_IF_ERROR(list.AddAll(json[input.name]));
    DISTILLERY_RETURN_IF_ERROR(list.CheckSize());
    sample.inputs.push_back(std::move(list.numbers));
  }
  return sample;
}

absl::StatusOr<std::vector<Sample>> ReadLines(const std::string& text, const std::string& path,
                                              const SampleSpec& spec, bool rows) {
  std::vector<Sample> samples;
  int64_t line = 0;
  for (absl::string_view one : absl::StrSplit(text, '\n')) {
    ++line;
    if (absl::EndsWith(one, "\r")) one.remove_suffix(1);
    if (absl::StripAsciiWhitespace(one).empty()) continue;
    absl::StatusOr<Sample> sample = rows ? MakeRowSample(one, spec) : MakeTextSample(one, spec);
    if (!sample.ok()) return Annotate(sample.status(), absl::StrCat(path, ":", line));
    const std::string place = absl::StrCat(BaseName(path), ":", line);
    sample->name = sample->name.empty() ? place : absl::StrCat(place, " ", sample->name);
    samples.push_back(*std::move(sample));
  }
  return samples;
}

// Without a data set whose columns these are.
absl::StatusOr<std::vector<Sample>> ReadPlainTable(const std::string& text, const std::string& path,
                                                   const SampleSpec& spec) {
  CsvReader reader(text, path);
  CsvRow row;
  DISTILLERY_ASSIGN_OR_RETURN(bool found, reader.Next(&row));
  if (!found) return absl::InvalidArgumentError(absl::StrCat(path, " is empty"));
  DISTILLERY_ASSIGN_OR_RETURN(const InputSpec* const input, OneInput(spec));
  const std::vector<std::string> names = row.cells;
  if (static_cast<int64_t>(names.size()) != input->elements()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ":1: ", names.size(), " columns, the model takes ", input->ToString(),
        ": name the table that it was trained on with --dataset and --data-dir, so that columns "
        "are known by their names"));
  }
  if (std::all_of(names.begin(), names.end(), LooksLikeNumber)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":1: these are numbers, wanted: a line with the columns' names"));
  }
  std::vector<Sample> samples;
  while (true) {
    DISTILLERY_ASSIGN_OR_RETURN(found, reader.Next(&row));
    if (!found) return samples;
    absl::StatusOr<Sample> sample = MakeCellSample(row.cells, spec);
    if (!sample.ok()) return Annotate(sample.status(), absl::StrCat(path, ":", row.line));
    sample->name = absl::StrCat(BaseName(path), ":", row.line);
    sample->feature_names = names;
    samples.push_back(*std::move(sample));
  }
}

absl::StatusOr<std::vector<Sample>> ReadTableFile(const std::string& text, const std::string& path,
                                                  const SampleSpec& spec,
                                                  const std::string& table_folder) {
  if (table_folder.empty()) return ReadPlainTable(text, path, spec);
  DISTILLERY_ASSIGN_OR_RETURN(const InputSpec* const input, OneInput(spec));
  DISTILLERY_ASSIGN_OR_RETURN(const TableRows rows, ReadCsvRows(table_folder, text, path));
  const size_t width = rows.feature_names.size();
  if (ModelType(*input) != ElementType::kFloat32 ||
      static_cast<int64_t>(width) != input->elements()) {
    return absl::InvalidArgumentError(absl::StrCat(
        table_folder, "/train.csv has ", width, " features, the model takes ", input->ToString()));
  }
  std::vector<Sample> samples;
  for (size_t first = 0; first < rows.features.size(); first += width) {
    Sample& sample = samples.emplace_back();
    sample.name = absl::StrCat(BaseName(path), " row ", first / width);
    sample.spec = spec;
    sample.feature_names = rows.feature_names;
    sample.inputs.emplace_back(
        std::vector<float>(rows.features.begin() + static_cast<int64_t>(first),
                           rows.features.begin() + static_cast<int64_t>(first + width)));
  }
  return samples;
}

}  // namespace

absl::StatusOr<Sample> ReadImageSample(const std::string& path, const SampleSpec& spec,
                                       bool invert) {
  if (!spec.is_picture()) return TakesOther("picture", spec);
  const ImageShape shape = spec.picture_shape();
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxImageFileBytes));
  DISTILLERY_ASSIGN_OR_RETURN(Image image, DecodeImage(bytes, shape.channels, path));
  if (!(image.shape == shape)) {
    DISTILLERY_ASSIGN_OR_RETURN(image, Resize(image, shape.height, shape.width));
  }
  std::vector<float> pixels;
  for (const uint8_t pixel : image.pixels) {
    const int value = invert ? 255 - pixel : pixel;
    pixels.push_back(static_cast<float>(value) / 255.0F);
  }
  Sample sample;
  sample.name = BaseName(path);
  sample.spec = spec;
  sample.inputs.emplace_back(std::move(pixels));
  return sample;
}

absl::StatusOr<Sample> ReadSoundSample(const std::string& path, const SampleSpec& spec,
                                       const std::string& folder) {
  if (folder.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": name the data set of recordings that the model learned with --dataset and --data-dir: "
        "its dataset.json says what a recording becomes"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const SoundSamples samples, ReadSoundSamples(folder));
  const InputSpec& made = samples.input();
  if (spec.inputs.size() != 1 || spec.inputs.front().type != made.type ||
      spec.inputs.front().shape != made.shape) {
    return absl::InvalidArgumentError(absl::StrCat("a recording in ", folder, " becomes ",
                                                   made.ToString(), ", the model takes ",
                                                   spec.ToString()));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxSoundFileBytes));
  DISTILLERY_ASSIGN_OR_RETURN(const Sound sound, samples.Decode(bytes, path));
  std::vector<float> numbers(static_cast<size_t>(made.elements()));
  samples.Write(sound, numbers.data());
  Sample sample;
  sample.name = BaseName(path);
  sample.spec = spec;
  sample.inputs.emplace_back(std::move(numbers));
  return sample;
}

absl::StatusOr<Sample> MakeTextSample(absl::string_view text, const SampleSpec& spec) {
  const InputSpec* const tokens = TextInput(spec);
  if (tokens == nullptr) return TakesOther("text", spec);
  if (text.empty()) return absl::InvalidArgumentError("the text is empty");
  const int64_t length = tokens->elements();
  const auto count = std::min(length, static_cast<int64_t>(text.size()));
  Sample sample;
  sample.spec = spec;
  if (count < static_cast<int64_t>(text.size())) {
    sample.name = absl::StrCat("(the first ", count, " of ", text.size(), " bytes)");
  }
  for (const InputSpec& input : spec.inputs) {
    if (&input == tokens) {
      std::vector<int64_t> numbers(static_cast<size_t>(length), kPadding);
      for (int64_t i = 0; i < count; ++i) {
        numbers[static_cast<size_t>(i)] = TokenOf(text[static_cast<size_t>(i)]);
      }
      sample.inputs.emplace_back(std::move(numbers));
    } else if (input.name == "mask" && input.elements() == length &&
               ModelType(input) == ElementType::kUInt8) {
      std::vector<uint8_t> mask(static_cast<size_t>(length));
      std::fill_n(mask.begin(), count, uint8_t{1});
      sample.inputs.emplace_back(std::move(mask));
    } else {
      return absl::InvalidArgumentError(absl::StrCat("the model takes ", input.ToString(),
                                                     " too: give a JSON object with ",
                                                     InputNames(spec)));
    }
  }
  return sample;
}

absl::StatusOr<Sample> MakeRowSample(absl::string_view row, const SampleSpec& spec) {
  row = absl::StripAsciiWhitespace(row);
  if (absl::StartsWith(row, "{")) return MakeJsonSample(row, spec);
  return MakeCellSample(absl::StrSplit(row, ','), spec);
}

bool IsSampleFile(absl::string_view path) {
  const std::string name = absl::AsciiStrToLower(path);
  return absl::EndsWith(name, ".csv") || absl::EndsWith(name, ".jsonl") ||
         absl::EndsWith(name, ".json") || absl::EndsWith(name, ".txt");
}

absl::StatusOr<std::vector<Sample>> ReadSampleFile(const std::string& path, const SampleSpec& spec,
                                                   const std::string& table_folder) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path, kMaxFileBytes));
  const std::string name = absl::AsciiStrToLower(path);
  if (absl::EndsWith(name, ".csv")) return ReadTableFile(text, path, spec, table_folder);
  return ReadLines(text, path, spec, /*rows=*/!absl::EndsWith(name, ".txt"));
}

}  // namespace distillery
