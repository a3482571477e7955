#include "teacher_service/inference/query_inputs.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/data/numbers.h"
#include "common/soft_targets/finite.h"
#include "teacher_service/inference/query_pixels.h"

namespace distillery {
namespace {

// "tokens: the number at row 1, [7] is 300"
std::string Where(const std::string& name, const InputSpec& input, int64_t index,
                  const std::string& number) {
  const std::string place = PlaceIn(input.shape, index % input.elements());
  return absl::StrCat(name, ": the number at row ", index / input.elements(),
                      place.empty() ? "" : ", ", place, " is ", number);
}

absl::Status CheckFloats(const std::string& name, const InputSpec& input, const float* numbers,
                         int64_t count) {
  if (AllFinite(numbers, count)) return absl::OkStatus();
  const float* const bad =
      std::find_if(numbers, numbers + count, [](float number) { return !std::isfinite(number); });
  return absl::InvalidArgumentError(absl::StrCat(
      Where(name, input, bad - numbers, absl::StrCat(*bad)), ": it must be finite as float32"));
}

absl::Status CheckTokens(const std::string& name, const InputSpec& input, const int64_t* tokens,
                         int64_t count) {
  if (input.vocabulary == 0) return absl::OkStatus();
  const int64_t* const bad = std::find_if(tokens, tokens + count, [&](int64_t token) {
    return token < 0 || token >= input.vocabulary;
  });
  if (bad == tokens + count) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(Where(name, input, bad - tokens, absl::StrCat(*bad)), ": tokens are 0 to ",
                   input.vocabulary - 1));
}

absl::Status CheckInput(const std::string& name, const InputSpec& input, const void* numbers,
                        int64_t rows, bool any_finite_pixels) {
  const int64_t count = rows * input.elements();
  if (input.is_picture()) {
    const ImageShape shape{input.shape[0], input.shape[1], input.shape[2]};
    return CheckPixels(static_cast<const float*>(numbers), rows, shape, any_finite_pixels, name);
  }
  if (ModelType(input) == ElementType::kFloat32) {
    return CheckFloats(name, input, static_cast<const float*>(numbers), count);
  }
  if (ModelType(input) == ElementType::kInt64) {
    return CheckTokens(name, input, static_cast<const int64_t*>(numbers), count);
  }
  return absl::OkStatus();  // any byte will do
}

}  // namespace

std::string InputName(const SampleSpec& samples, size_t input) {
  return samples.is_picture() ? kPictureInput : samples.inputs[input].name;
}

std::vector<std::string> InputNames(const SampleSpec& samples) {
  std::vector<std::string> names;
  for (size_t i = 0; i < samples.inputs.size(); ++i) names.push_back(InputName(samples, i));
  return names;
}

absl::Status CheckQueryInputs(const SampleSpec& samples, const InputColumns& inputs, int64_t rows,
                              bool any_finite_pixels) {
  for (size_t i = 0; i < samples.inputs.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(
        CheckInput(InputName(samples, i), samples.inputs[i], inputs[i], rows, any_finite_pixels));
  }
  return absl::OkStatus();
}

}  // namespace distillery
