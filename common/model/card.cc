#include "common/model/card.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/json_fields.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/base/terminal.h"
#include "common/data/class_names.h"
#include "common/data/dataset.h"
#include "common/data/input_moments.h"
#include "common/data/picture_sizes.h"

namespace distillery {
namespace {

constexpr int64_t kMaxInputElements = int64_t{1} << 28;

// One finite number per channel.
std::vector<float> TakePerChannel(JsonReader& reader, const std::string& key, int64_t channels) {
  std::vector<double> values;
  reader(key, values);
  std::vector<float> result;
  for (const double value : values) {
    result.push_back(static_cast<float>(value));
    if (!std::isfinite(result.back())) reader.Fail(key, "must hold finite numbers");
  }
  if (static_cast<int64_t>(values.size()) != channels) {
    reader.Fail(key, absl::StrCat("must hold one number per channel, ", channels));
  }
  return result;
}

// Some of them, the one that a message is about among them.
std::string ShortList(const std::vector<std::string>& names, size_t about) {
  constexpr size_t kMostNames = 10;
  constexpr size_t kMostBytes = 120;
  size_t first = about;
  size_t last = about + 1;
  size_t bytes = names[about].size();
  const auto fits = [&](size_t next) {
    return last - first < kMostNames && bytes + names[next].size() <= kMostBytes;
  };
  while (first > 0 && fits(first - 1)) bytes += names[--first].size();
  while (last < names.size() && fits(last)) bytes += names[last++].size();
  return absl::StrCat(first > 0 ? "..., " : "",
                      absl::StrJoin(names.begin() + static_cast<std::ptrdiff_t>(first),
                                    names.begin() + static_cast<std::ptrdiff_t>(last), ", "),
                      last < names.size() ? ", ..." : "");
}

bool AreNumbers(const std::vector<std::string>& names) {
  return names == NumberedClassNames(static_cast<int64_t>(names.size()));
}

// Whether some name is in both lists, but not in the same place.
bool Disagree(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < a.size(); ++i) places.emplace(a[i], i);
  for (size_t i = 0; i < b.size(); ++i) {
    const auto place = places.find(b[i]);
    if (place != places.end() && place->second != i) return true;
  }
  return false;
}

Json InputsToJson(const std::vector<InputSpec>& inputs) {
  Json list = Json::array();
  for (const InputSpec& input : inputs) {
    Json json;
    json["name"] = input.name;
    json["type"] = SpecOf(input.type).text;
    json["shape"] = input.shape;
    if (input.is_picture()) json["pixel_max"] = input.pixel_max;
    if (input.vocabulary > 0) json["vocabulary"] = input.vocabulary;
    list.push_back(std::move(json));
  }
  return list;
}

// The form for pictures by class.
SampleSpec TakePictures(JsonReader& reader) {
  std::vector<int64_t> sizes;
  if (const Json* const shape = reader.Find("input_shape"); shape != nullptr) {
    absl::Status other;
    ReadJson(*shape, JsonPlace{"", &other}, &sizes);
    sizes.resize(other.ok() && sizes.size() == 3 ? 3 : 0);
    if (sizes.empty() || !CheckedElementCount(sizes, kMaxInputElements).ok()) {
      reader.Fail("input_shape", "must be [channels, height, width]");
    }
  }
  sizes.resize(3);
  return SampleSpec::Pictures({sizes[0], sizes[1], sizes[2]}, UINT8_MAX);
}

void TakeInput(JsonReader& reader, InputSpec& input) {
  static const auto* const types = [] {
    auto* const names = new JsonNames<ElementType>;
    for (const ElementTypeSpec& spec : kElementTypes) names->emplace_back(spec.type, spec.text);
    return names;
  }();
  reader("name", input.name);
  reader.OneOf("type", input.type, *types);
  reader("shape", input.shape);
  int64_t pixel_max = 0;
  reader.Optional("pixel_max", pixel_max);
  if (pixel_max < 0 || pixel_max > UINT8_MAX) reader.Fail("pixel_max", "must be 0 to 255");
  input.pixel_max = static_cast<int>(pixel_max);
  reader.Optional("vocabulary", input.vocabulary);
}

void TakeAnswer(JsonReader& reader, AnswerSpec& answer) {
  static const auto* const kinds = [] {
    auto* const names = new JsonNames<AnswerKind>;
    for (const AnswerKindSpec& spec : kAnswerKinds) names->emplace_back(spec.kind, spec.name);
    return names;
  }();
  reader.OneOf("kind", answer.kind, *kinds);
  reader("positions", answer.positions);
}

SampleSpec TakeSamples(JsonReader& reader) {
  SampleSpec spec;
  reader.Each("inputs", spec.inputs, TakeInput);
  reader.Object("answer", spec.answer, TakeAnswer);
  if (const absl::Status wrong = CheckSampleSpec(spec); !wrong.ok()) {
    reader.Fail("inputs", absl::StrCat("cannot be: ", std::string(wrong.message())));
    spec = SampleSpec();
  }
  return spec;
}

Json OutputKeyToJson(const std::vector<OutputStep>& steps) {
  Json json = Json::array();
  for (const OutputStep& step : steps) {
    std::visit([&](const auto& value) { json.push_back(value); }, step);
  }
  return steps.size() == 1 ? json.front() : json;
}

std::vector<OutputStep> TakeOutputKey(JsonReader& reader, const std::string& key) {
  constexpr size_t kMostSteps = 8;
  const Json* const found = reader.FindOptional(key);
  if (found == nullptr) return {};
  const Json list = found->is_array() ? *found : Json::array({*found});
  bool right = !list.empty() && list.size() <= kMostSteps;
  std::vector<OutputStep> steps;
  for (const Json& step : list) {
    if (step.is_string()) {
      steps.emplace_back(step.get<std::string>());
    } else if (step.is_number_unsigned() && step.get<uint64_t>() <= INT32_MAX) {
      steps.emplace_back(step.get<int64_t>());
    } else {
      right = false;
    }
  }
  if (!right) reader.Fail(key, "must be a name, a number >= 0, or a list of them");
  return steps;
}

}  // namespace

absl::StatusOr<ModelCard> CardForDataset(const Dataset& dataset, const std::string& architecture) {
  ModelCard card;
  card.architecture = architecture;
  card.samples = dataset.spec();
  card.class_names = dataset.class_names();
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Moments> moments, InputMoments(dataset));
  for (const Moments& channel : moments) {
    card.mean.push_back(channel.mean);
    card.deviation.push_back(channel.deviation);
  }
  return card;
}

absl::Status CheckSameClasses(const ClassList& a, const ClassList& b) {
  if (a.names.size() != b.names.size()) {
    return absl::InvalidArgumentError(absl::StrCat(a.owner, " has ", a.names.size(), " classes, ",
                                                   b.owner, " has ", b.names.size()));
  }
  if (a.names == b.names) return absl::OkStatus();
  const bool disagree = Disagree(a.names, b.names);
  if (!disagree && (AreNumbers(a.names) || AreNumbers(b.names))) return absl::OkStatus();
  const auto differ = std::mismatch(a.names.begin(), a.names.end(), b.names.begin());
  const auto at = static_cast<size_t>(differ.first - a.names.begin());
  std::vector<std::string> sorted_a = a.names;
  std::vector<std::string> sorted_b = b.names;
  std::sort(sorted_a.begin(), sorted_a.end());
  std::sort(sorted_b.begin(), sorted_b.end());
  const bool reordered = sorted_a == sorted_b;
  return absl::InvalidArgumentError(absl::StrCat(
      a.owner, " and ", b.owner,
      reordered ? " have the same classes in another order: class "
                : " have unlike classes: class ",
      at, " is \"", a.names[at], "\" to ", a.owner, " (", ShortList(a.names, at), ") and \"",
      b.names[at], "\" to ", b.owner, " (", ShortList(b.names, at),
      "); classes are told apart by number, so give both the same names in the same order"));
}

absl::Status CheckFits(const ModelCard& card, const Dataset& dataset) {
  const std::string data = absl::StrCat("data set ", dataset.reference().name);
  const SampleSpec& spec = dataset.spec();
  const SampleSpec shown = InSizesOf(card.samples.inputs, spec);
  if (card.samples.is_picture_by_class() && spec.is_picture_by_class()) {
    const ImageShape wanted = card.samples.picture_shape();
    if (!(wanted == shown.picture_shape())) {
      return absl::InvalidArgumentError(
          absl::StrCat("the model takes images of ", absl::StrJoin(wanted.ToVector(), " x "), ", ",
                       data, " has ", absl::StrJoin(dataset.shape().ToVector(), " x "),
                       DescribeGrowth(card.samples.inputs, spec)));
    }
  } else if (!(card.samples == shown)) {
    return absl::InvalidArgumentError(absl::StrCat("the model is for ", card.samples.ToString(),
                                                   ", ", data, " is ", spec.ToString(),
                                                   DescribeGrowth(card.samples.inputs, spec)));
  }
  return CheckSameClasses({"the model", card.class_names}, {data, dataset.class_names()});
}

std::string ModelCardToJson(const ModelCard& card) {
  Json json;
  json["format"] = 1;
  json["architecture"] = card.architecture;
  // Cards of models for pictures by class, and the teacher digests made of them, stay as they were.
  if (card.samples.is_picture_by_class()) {
    json["input_shape"] = card.samples.picture_shape().ToVector();
  } else {
    json["inputs"] = InputsToJson(card.samples.inputs);
    json["answer"]["kind"] = SpecOf(card.samples.answer.kind).name;
    json["answer"]["positions"] = card.samples.answer.positions;
  }
  json["mean"] = card.mean;
  json["deviation"] = card.deviation;
  json["class_names"] = card.class_names;
  json["output"] = card.outputs_probabilities ? "probabilities" : "logits";
  // Only where they say something, for the same reason.
  if (!card.output_key.empty()) json["output_key"] = OutputKeyToJson(card.output_key);
  if (card.trust_output) json["trust_output"] = true;
  if (!card.input_type.empty()) json["input_type"] = card.input_type;
  return JsonText(json, 2) + "\n";
}

absl::StatusOr<ModelCard> ParseModelCard(const std::string& text) {
  static const JsonNames<bool> kOutputs = {{false, "logits"}, {true, "probabilities"}};
  static const JsonNames<std::string> kTypes = {{"float16", "float16"},
                                                {"bfloat16", "bfloat16"},
                                                {"float32", "float32"},
                                                {"float64", "float64"}};
  constexpr int kMostDepth = 4;
  const absl::StatusOr<Json> json = ParseJsonObject(text, kMostDepth);
  if (!json.ok()) return Annotate(json.status(), "model card");
  ModelCard card;
  absl::Status status;
  JsonReader reader(*json, "", &status);
  int64_t format = 1;
  reader("format", format);
  if (format != 1) reader.Fail("format", "must be 1");
  reader.Optional("architecture", card.architecture);
  if (reader.FindOptional("inputs") == nullptr) {
    card.samples = TakePictures(reader);
  } else {
    card.samples = TakeSamples(reader);
  }
  int64_t channels = 0;
  for (const InputSpec& input : card.samples.inputs) channels += input.channels();
  card.mean = TakePerChannel(reader, "mean", channels);
  card.deviation = TakePerChannel(reader, "deviation", channels);
  for (const float deviation : card.deviation) {
    if (!(deviation > 0)) reader.Fail("deviation", "must be > 0");
  }
  reader("class_names", card.class_names);
  const size_t least = LeastNames(card.samples.answer);
  if (card.class_names.size() < least) {
    reader.Fail("class_names", least == 2 ? "must hold at least two names" : "must hold a name");
  }
  reader.OneOf("output", card.outputs_probabilities, kOutputs);
  card.output_key = TakeOutputKey(reader, "output_key");
  reader.Optional("trust_output", card.trust_output);
  if (reader.FindOptional("input_type") != nullptr) {
    reader.OneOf("input_type", card.input_type, kTypes);
  }
  reader.Finish();
  if (!status.ok()) return Annotate(status, "model card");
  return card;
}

}  // namespace distillery
