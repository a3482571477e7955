#include "common/data/sample_spec.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr size_t kMaxInputs = 16;
constexpr size_t kMaxInputSizes = 4;
constexpr size_t kMaxPositionSizes = 2;
constexpr size_t kMaxInputNameBytes = 64;

int64_t Product(const std::vector<int64_t>& sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) product *= size;
  return product;
}

std::string Sizes(const std::vector<int64_t>& sizes) {
  return absl::StrCat("[", absl::StrJoin(sizes, ", "), "]");
}

bool IsInputType(ElementType type) {
  switch (type) {
    case ElementType::kUInt8:
    case ElementType::kInt32:
    case ElementType::kInt64:
    case ElementType::kFloat16:
    case ElementType::kFloat32:
      return true;
    default:
      return false;
  }
}

absl::Status CheckInput(const InputSpec& input) {
  const std::string owner = absl::StrCat("input ", Printable(input.name));
  DISTILLERY_RETURN_IF_ERROR(CheckName("the name of an input", input.name, kMaxInputNameBytes));
  if (!IsInputType(input.type)) {
    return absl::InvalidArgumentError(
        absl::StrCat(owner, " is ", SpecOf(input.type).text,
                     "; an input is uint8, int32, int64, float16 or float32"));
  }
  const auto elements = CheckedElementCount(input.shape, kMaxSampleBytes);
  if (input.shape.size() > kMaxInputSizes || !elements.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(owner, " has the shape ", Sizes(input.shape), "; it takes at most ",
                     kMaxInputSizes, " sizes of at least 1, and ", kMaxSampleBytes, " elements"));
  }
  if (input.pixel_max < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(owner, " has a pixel_max of ", input.pixel_max, ", it must be 0 to 255"));
  }
  if (input.is_picture() &&
      (input.type != ElementType::kUInt8 || input.shape.size() != 3 || input.pixel_max > 255)) {
    return absl::InvalidArgumentError(absl::StrCat(
        owner,
        " has a pixel_max, so it must be uint8 [channels, height, width] and that 1 to 255"));
  }
  if (input.vocabulary < 0 || (input.vocabulary > 0 && input.type != ElementType::kInt32 &&
                               input.type != ElementType::kInt64)) {
    return absl::InvalidArgumentError(absl::StrCat(owner, " has a vocabulary of ", input.vocabulary,
                                                   ", which only int32 and int64 may have"));
  }
  // A student has a row of weights for each.
  if (input.vocabulary > kMaxVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(owner, " has a vocabulary of ", input.vocabulary,
                                                   ", the most are ", kMaxVocabulary));
  }
  return absl::OkStatus();
}

}  // namespace

int64_t InputSpec::elements() const { return Product(shape); }

int64_t InputSpec::channels() const {
  if (is_picture()) return shape[0];
  if (type != ElementType::kFloat16 && type != ElementType::kFloat32) return 0;
  if (shape.empty()) return 1;
  return shape[0] > kMaxFeatures ? 1 : shape[0];
}

std::string InputSpec::ToString() const {
  std::string text = absl::StrCat(name, " ", SpecOf(type).text, " ", Sizes(shape));
  if (is_picture()) absl::StrAppend(&text, " / ", pixel_max);
  if (vocabulary > 0) absl::StrAppend(&text, " below ", vocabulary);
  return text;
}

bool operator==(const InputSpec& a, const InputSpec& b) {
  return a.name == b.name && a.type == b.type && a.shape == b.shape && a.pixel_max == b.pixel_max &&
         a.vocabulary == b.vocabulary;
}

int64_t AnswerSpec::position_count() const { return Product(positions); }

SampleSpec SampleSpec::Pictures(const ImageShape& shape, int pixel_max) {
  SampleSpec spec;
  spec.inputs.push_back({"image", ElementType::kUInt8, shape.ToVector(), pixel_max, 0});
  return spec;
}

ImageShape SampleSpec::picture_shape() const {
  const std::vector<int64_t>& sizes = inputs[0].shape;
  return {sizes[0], sizes[1], sizes[2]};
}

int64_t SampleSpec::input_bytes() const {
  int64_t bytes = 0;
  for (const InputSpec& input : inputs) bytes += input.bytes();
  return bytes;
}

int64_t SampleSpec::label_bytes(int64_t answers) const {
  if (answer.one_class()) return 0;
  const AnswerKindSpec& kind = SpecOf(answer.kind);
  return answer.position_count() * (kind.labels_each ? answers : 1) * SpecOf(kind.label_type).bytes;
}

std::string SampleSpec::ToString() const {
  const std::string text = absl::StrCat(absl::StrJoin(inputs, ", ",
                                                      [](std::string* out, const InputSpec& input) {
                                                        out->append(input.ToString());
                                                      }),
                                        " -> ", SpecOf(answer.kind).name);
  return answer.positions.empty() ? text : absl::StrCat(text, " ", Sizes(answer.positions));
}

absl::Status CheckSampleSpec(const SampleSpec& spec) {
  if (spec.inputs.empty() || spec.inputs.size() > kMaxInputs) {
    return absl::InvalidArgumentError(absl::StrCat("a sample has 1 to ", kMaxInputs,
                                                   " inputs, this one has ", spec.inputs.size()));
  }
  std::set<std::string> names;
  int64_t bytes = 0;
  for (const InputSpec& input : spec.inputs) {
    DISTILLERY_RETURN_IF_ERROR(CheckInput(input));
    if (!names.insert(input.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("two inputs are named ", input.name));
    }
    bytes += input.bytes();
  }
  if (bytes > kMaxSampleBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a sample has ", bytes, " bytes of inputs, the most are ", kMaxSampleBytes));
  }
  const std::vector<int64_t>& positions = spec.answer.positions;
  if (positions.size() > kMaxPositionSizes ||
      !CheckedElementCount(positions, kMaxSampleBytes).ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the answer has the positions ", Sizes(positions),
                     "; there are none, [length] or [height, width], each size at least 1"));
  }
  return absl::OkStatus();
}

}  // namespace distillery
