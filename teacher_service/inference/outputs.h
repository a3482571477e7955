// Outputs of the Open Inference Protocol: which a caller gets, and their elements.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/card.h"
#include "teacher_service/inference/parameters.h"

namespace distillery {

enum class InferenceOutput { kSoftTargets, kClasses, kProbabilities, kTailMass };

// "soft_targets", "classes", "probabilities", "tail_mass", in the order of the enum.
const std::vector<std::string>& InferenceOutputNames();

// The outputs of these names; of no names, all that the parameters call for. INVALID_ARGUMENT for
// an unknown name, one that is given twice, and one that needs top_k without it.
absl::StatusOr<std::vector<InferenceOutput>> ChooseInferenceOutputs(
    const std::vector<std::string>& names, const InferenceParameters& parameters);

// One output.
struct InferenceTensor {
  InferenceOutput output = InferenceOutput::kSoftTargets;
  std::vector<int64_t> shape;
  // "FP32", "INT32" or "BYTES".
  std::string datatype = "FP32";
  // Row-major and little-endian; empty for BYTES.
  std::string data;
  // The elements, for BYTES.
  std::vector<std::string> texts;
};

// The raw contents of BYTES: for each text its size in 4 bytes, little-endian, and then the text.
std::string RawTexts(const std::vector<std::string>& texts);

// The most bytes that all elements can have. REQUIRES: a product that fits.
int64_t InferenceBytes(int64_t rows, const ModelCard& card, const InferenceParameters& parameters,
                       const std::vector<InferenceOutput>& outputs);

// logits z [rows, classes] -> soft_targets [rows, classes]: z/T by float32 division, or
// softmax(z/T), of labels sigmoid(z/T); classes [rows, top_k] with the largest z/T, of equal ones
// the lower class first; probabilities [rows, top_k]: their softmax(z/T); tail_mass [rows]: the sum
// of the others', added up by themselves. With `classification`, soft_targets is BYTES [rows,
// classification]: the largest elements of each row, chosen and ordered as those of `classes`, as
// "VALUE:CLASS:NAME" with all digits of a float32. Where an answer has positions, their sizes
// follow the rows in each shape, and each position is a row of its own.
std::vector<InferenceTensor> MakeInferenceTensors(const float* logits, int64_t rows,
                                                  const ModelCard& card,
                                                  const InferenceParameters& parameters,
                                                  const std::vector<InferenceOutput>& outputs);

}  // namespace distillery
