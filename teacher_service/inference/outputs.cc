#include "teacher_service/inference/outputs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/names.h"
#include "common/soft_targets/encode.h"

namespace distillery {
namespace {

bool Contains(const std::vector<InferenceOutput>& outputs, InferenceOutput output) {
  return std::find(outputs.begin(), outputs.end(), output) != outputs.end();
}

SoftTargetFormat Format(const InferenceParameters& parameters, Representation representation) {
  SoftTargetFormat format;
  format.temperature = parameters.temperature;
  format.representation = representation;
  return format;
}

std::vector<int64_t> ShapeOf(InferenceOutput output, int64_t rows, const AnswerShape& answer,
                             const InferenceParameters& parameters) {
  std::vector<int64_t> shape = answer.SizesFor(rows);
  if (output == InferenceOutput::kTailMass) return shape;
  if (output == InferenceOutput::kSoftTargets) {
    shape.push_back(parameters.classification > 0 ? parameters.classification : answer.classes);
  } else {
    shape.push_back(parameters.top_k);
  }
  return shape;
}

void Append(float value, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// The three tensors of the top k.
struct TopK {
  std::string classes;
  std::string probabilities;
  std::string tail_mass;
};

// The classes with the largest z/T, [rows, count]: the choice of the encoding top_k, whose float16
// values are not wanted here.
std::vector<int32_t> LargestClasses(const float* logits, int64_t rows, int64_t classes,
                                    const InferenceParameters& parameters, int64_t count) {
  SoftTargetFormat format = Format(parameters, Representation::kProbabilities);
  format.encoding = Encoding::kTopK;
  format.top_k = count;
  const std::string indexes = EncodeSoftTargets(logits, rows, classes, format).class_indexes;
  const int64_t index_bytes = ClassIndexBytes(classes);
  std::vector<int32_t> largest(static_cast<size_t>(rows * count));
  for (size_t i = 0; i < largest.size(); ++i) {
    // Never negative, so the low bytes are all of it.
    std::memcpy(&largest[i], indexes.data() + i * static_cast<size_t>(index_bytes),
                static_cast<size_t>(index_bytes));
  }
  return largest;
}

TopK MakeTopK(const float* logits, int64_t rows, int64_t classes,
              const InferenceParameters& parameters) {
  const std::string dense =
      EncodeSoftTargets(logits, rows, classes, Format(parameters, Representation::kProbabilities))
          .values;
  const std::vector<int32_t> largest =
      LargestClasses(logits, rows, classes, parameters, parameters.top_k);
  std::vector<float> row(static_cast<size_t>(classes));
  TopK top;
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(row.data(), dense.data() + r * classes * 4, row.size() * sizeof(float));
    for (int64_t i = 0; i < parameters.top_k; ++i) {
      const int32_t index = largest[static_cast<size_t>(r * parameters.top_k + i)];
      top.classes.append(reinterpret_cast<const char*>(&index), sizeof(index));
      Append(std::exchange(row[static_cast<size_t>(index)], 0.0F), &top.probabilities);
    }
    double others = 0;
    for (const float probability : row) others += probability;
    Append(static_cast<float>(others), &top.tail_mass);
  }
  return top;
}

// "VALUE:CLASS:NAME" of the largest of each row. values: float32 [rows, classes]
std::vector<std::string> MakeClassifications(const float* logits, int64_t rows,
                                             const std::vector<std::string>& class_names,
                                             const InferenceParameters& parameters,
                                             const std::string& values) {
  const auto classes = static_cast<int64_t>(class_names.size());
  const int64_t count = parameters.classification;
  std::vector<std::string> texts;
  texts.reserve(static_cast<size_t>(rows * count));
  for (const int32_t index : LargestClasses(logits, rows, classes, parameters, count)) {
    const int64_t row = static_cast<int64_t>(texts.size()) / count;
    float value = 0;
    std::memcpy(&value, values.data() + (row * classes + index) * 4, sizeof(value));
    texts.push_back(
        absl::StrFormat("%.9g:%d:%s", value, index, class_names[static_cast<size_t>(index)]));
  }
  return texts;
}

}  // namespace

const std::vector<std::string>& InferenceOutputNames() {
  static const auto* const names =
      new std::vector<std::string>{"soft_targets", "classes", "probabilities", "tail_mass"};
  return *names;
}

absl::StatusOr<std::vector<InferenceOutput>> ChooseInferenceOutputs(
    const std::vector<std::string>& names, const InferenceParameters& parameters) {
  std::vector<InferenceOutput> outputs;
  const std::vector<std::string>& known = InferenceOutputNames();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = std::find(known.begin(), known.end(), names[i]);
    if (found == known.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("outputs[", i, "].name: ", UnknownName("output", names[i], known)));
    }
    const auto output = static_cast<InferenceOutput>(found - known.begin());
    if (Contains(outputs, output)) {
      return absl::InvalidArgumentError(
          absl::StrCat("outputs[", i, "].name: \"", *found, "\" is asked for twice"));
    }
    if (output != InferenceOutput::kSoftTargets && parameters.top_k == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("outputs[", i, "].name: \"", *found, "\" needs the parameter top_k"));
    }
    outputs.push_back(output);
  }
  if (!outputs.empty()) return outputs;
  outputs = {InferenceOutput::kSoftTargets};
  if (parameters.top_k > 0) {
    outputs.insert(outputs.end(), {InferenceOutput::kClasses, InferenceOutput::kProbabilities,
                                   InferenceOutput::kTailMass});
  }
  return outputs;
}

int64_t InferenceBytes(int64_t rows, const ModelCard& card, const InferenceParameters& parameters,
                       const std::vector<InferenceOutput>& outputs) {
  const AnswerShape answer = card.answer_shape();
  int64_t bytes = 0;
  for (const InferenceOutput output : outputs) {
    int64_t count = 1;
    for (const int64_t size : ShapeOf(output, rows, answer, parameters)) count *= size;
    int64_t each = 4;
    if (output == InferenceOutput::kSoftTargets && parameters.classification > 0) {
      // The size, a number such as -1.23456789e-38, a class and two colons, and the name.
      constexpr int64_t kLongestNumbers = 4 + 16 + 10 + 2;
      const auto longest = std::max_element(
          card.class_names.begin(), card.class_names.end(),
          [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
      each = kLongestNumbers + static_cast<int64_t>(longest->size());
    }
    bytes += count * each;
  }
  return bytes;
}

std::string RawTexts(const std::vector<std::string>& texts) {
  std::string raw;
  for (const std::string& text : texts) {
    const auto size = static_cast<uint32_t>(text.size());
    raw.append(reinterpret_cast<const char*>(&size), sizeof(size));
    raw += text;
  }
  return raw;
}

std::vector<InferenceTensor> MakeInferenceTensors(const float* logits, int64_t rows,
                                                  const ModelCard& card,
                                                  const InferenceParameters& parameters,
                                                  const std::vector<InferenceOutput>& outputs) {
  const AnswerShape answer = card.answer_shape();
  const int64_t answers = rows * answer.positions();
  TopK top;
  const bool dense_alone = outputs.size() == 1 && outputs[0] == InferenceOutput::kSoftTargets;
  if (!dense_alone) top = MakeTopK(logits, answers, answer.classes, parameters);
  std::vector<InferenceTensor> tensors;
  for (const InferenceOutput output : outputs) {
    InferenceTensor tensor;
    tensor.output = output;
    tensor.shape = ShapeOf(output, rows, answer, parameters);
    switch (output) {
      case InferenceOutput::kSoftTargets:
        tensor.data =
            EncodeSoftTargets(logits, rows, answer, Format(parameters, parameters.representation))
                .values;
        if (parameters.classification > 0) {
          tensor.datatype = "BYTES";
          tensor.texts =
              MakeClassifications(logits, answers, card.class_names, parameters, tensor.data);
          tensor.data.clear();
        }
        break;
      case InferenceOutput::kClasses:
        tensor.datatype = "INT32";
        tensor.data.swap(top.classes);
        break;
      case InferenceOutput::kProbabilities:
        tensor.data.swap(top.probabilities);
        break;
      case InferenceOutput::kTailMass:
        tensor.data.swap(top.tail_mass);
        break;
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace distillery
