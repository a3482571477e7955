#include "teacher_service/inference_outputs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
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

std::vector<int64_t> ShapeOf(InferenceOutput output, int64_t rows, int64_t classes,
                             int64_t top_k) {
  switch (output) {
    case InferenceOutput::kSoftTargets: return {rows, classes};
    case InferenceOutput::kTailMass: return {rows};
    default: return {rows, top_k};
  }
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

TopK MakeTopK(const float* logits, int64_t rows, int64_t classes,
              const InferenceParameters& parameters) {
  // The choice is that of the encoding top_k; its float16 values are not wanted here.
  SoftTargetFormat format = Format(parameters, Representation::kProbabilities);
  std::string dense = EncodeSoftTargets(logits, rows, classes, format).values;
  format.encoding = Encoding::kTopK;
  format.top_k = parameters.top_k;
  const std::string indexes = EncodeSoftTargets(logits, rows, classes, format).class_indexes;
  const int64_t index_bytes = ClassIndexBytes(classes);
  std::vector<float> row(static_cast<size_t>(classes));
  TopK top;
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(row.data(), dense.data() + r * classes * 4, row.size() * sizeof(float));
    for (int64_t i = 0; i < parameters.top_k; ++i) {
      int32_t index = 0;  // never negative, so the low bytes are all of it
      std::memcpy(&index, indexes.data() + (r * parameters.top_k + i) * index_bytes,
                  static_cast<size_t>(index_bytes));
      top.classes.append(reinterpret_cast<const char*>(&index), sizeof(index));
      Append(std::exchange(row[static_cast<size_t>(index)], 0.0F), &top.probabilities);
    }
    double others = 0;
    for (const float probability : row) others += probability;
    Append(static_cast<float>(others), &top.tail_mass);
  }
  return top;
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
      return absl::InvalidArgumentError(absl::StrCat("outputs[", i, "].name: \"", *found,
                                                     "\" needs the parameter top_k"));
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

int64_t InferenceBytes(int64_t rows, int64_t classes, const InferenceParameters& parameters,
                       const std::vector<InferenceOutput>& outputs) {
  int64_t bytes = 0;
  for (const InferenceOutput output : outputs) {
    int64_t count = 4;
    for (const int64_t size : ShapeOf(output, rows, classes, parameters.top_k)) count *= size;
    bytes += count;
  }
  return bytes;
}

std::vector<InferenceTensor> MakeInferenceTensors(const float* logits, int64_t rows,
                                                  int64_t classes,
                                                  const InferenceParameters& parameters,
                                                  const std::vector<InferenceOutput>& outputs) {
  TopK top;
  const bool dense_alone = outputs.size() == 1 && outputs[0] == InferenceOutput::kSoftTargets;
  if (!dense_alone) top = MakeTopK(logits, rows, classes, parameters);
  std::vector<InferenceTensor> tensors;
  for (const InferenceOutput output : outputs) {
    InferenceTensor tensor;
    tensor.output = output;
    tensor.shape = ShapeOf(output, rows, classes, parameters.top_k);
    switch (output) {
      case InferenceOutput::kSoftTargets:
        tensor.data = EncodeSoftTargets(logits, rows, classes,
                                        Format(parameters, parameters.representation)).values;
        break;
      case InferenceOutput::kClasses: tensor.data.swap(top.classes); break;
      case InferenceOutput::kProbabilities: tensor.data.swap(top.probabilities); break;
      case InferenceOutput::kTailMass: tensor.data.swap(top.tail_mass); break;
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace distillery
