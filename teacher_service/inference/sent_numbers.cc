#include "teacher_service/inference/sent_numbers.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/data/numbers.h"
#include "teacher_service/inference/query_pixels.h"

namespace distillery {
namespace {

using ConvertNumbers = void (*)(const char* from, int64_t count, void* to);

template <typename From, typename To>
void Convert(const char* from, int64_t count, void* to) {
  auto* const output = static_cast<To*>(to);
  for (int64_t i = 0; i < count; ++i) {
    From number;
    std::memcpy(&number, from + i * static_cast<int64_t>(sizeof(From)), sizeof(From));
    output[i] = static_cast<To>(number);
  }
}

template <typename T>
void Copy(const char* from, int64_t count, void* to) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

void ConvertHalves(const char* from, int64_t count, void* to) {
  HalvesToFloats(from, count, static_cast<float*>(to));
}

// bfloat16 is the upper half of a float32.
void ConvertBFloat16(const char* from, int64_t count, void* to) {
  auto* const output = static_cast<char*>(to);
  std::memset(output, 0, static_cast<size_t>(count) * sizeof(float));
  for (int64_t i = 0; i < count; ++i) std::memcpy(output + i * 4 + 2, from + i * 2, 2);
}

struct Conversion {
  ElementType to;
  ElementType from;
  ConvertNumbers convert;
};

// What the model takes, from what may be sent; of each the model's own first.
constexpr Conversion kConversions[] = {
    {ElementType::kFloat32, ElementType::kFloat32, &Copy<float>},
    {ElementType::kFloat32, ElementType::kFloat64, &Convert<double, float>},
    {ElementType::kFloat32, ElementType::kFloat16, &ConvertHalves},
    {ElementType::kFloat32, ElementType::kBFloat16, &ConvertBFloat16},
    {ElementType::kFloat32, ElementType::kUInt8, &Convert<uint8_t, float>},
    {ElementType::kInt64, ElementType::kInt64, &Copy<int64_t>},
    {ElementType::kInt64, ElementType::kInt32, &Convert<int32_t, int64_t>},
    {ElementType::kInt64, ElementType::kUInt8, &Convert<uint8_t, int64_t>},
    {ElementType::kUInt8, ElementType::kUInt8, &Copy<uint8_t>},
};

const Conversion* FindConversion(const InputSpec& input, ElementType type) {
  const ElementType wanted = ModelType(input);
  const auto* const found = std::find_if(
      std::begin(kConversions), std::end(kConversions),
      [=](const Conversion& known) { return known.to == wanted && known.from == type; });
  return found == std::end(kConversions) ? nullptr : found;
}

}  // namespace

std::vector<ElementType> SentTypes(const InputSpec& input) {
  std::vector<ElementType> types;
  for (const Conversion& known : kConversions) {
    if (known.to == ModelType(input)) types.push_back(known.from);
  }
  return types;
}

bool TakesType(const InputSpec& input, ElementType type) {
  return FindConversion(input, type) != nullptr;
}

absl::Status CheckGivenPixelMax(const SampleSpec& samples, double pixel_max) {
  if (pixel_max == 0) return absl::OkStatus();
  const bool pictures = std::any_of(samples.inputs.begin(), samples.inputs.end(),
                                    [](const InputSpec& input) { return input.is_picture(); });
  if (pictures) return CheckPixelMax(pixel_max);
  return absl::InvalidArgumentError(absl::StrCat("pixel_max is for pictures, the model is for ",
                                                 samples.ToString(), ": leave it out"));
}

void SentInputs::Add(const InputSpec& input, const SentInput& sent, double pixel_max) {
  const bool bytes = sent.type == ElementType::kUInt8;
  const double scale = !input.is_picture() ? 1
                       : pixel_max != 0    ? pixel_max
                                           : DefaultPixelMax(bytes);
  const int64_t size = SpecOf(sent.type).bytes;
  const bool aligned = reinterpret_cast<uintptr_t>(sent.bytes.data()) % size == 0;
  if (sent.type == ModelType(input) && scale == 1 && aligned && sent.stays) {
    columns_.push_back(sent.bytes.data());
    return;
  }
  const int64_t count = static_cast<int64_t>(sent.bytes.size()) / size;
  const int64_t model_bytes = SpecOf(ModelType(input)).bytes;
  owned_.emplace_back(new char[static_cast<size_t>(count * model_bytes)]);
  char* const numbers = owned_.back().get();
  FindConversion(input, sent.type)->convert(sent.bytes.data(), count, numbers);
  if (input.is_picture()) DividePixels(scale, count, reinterpret_cast<float*>(numbers));
  columns_.push_back(numbers);
}

}  // namespace distillery
