#include "teacher_service/rpc/inference_datatypes.h"

#include <algorithm>
#include <iterator>

namespace distillery {
namespace {

using Contents = inference::InferTensorContents;

template <typename Element>
absl::string_view Bytes(const google::protobuf::RepeatedField<Element>& field) {
  return {reinterpret_cast<const char*>(field.data()),
          static_cast<size_t>(field.size()) * sizeof(Element)};
}

absl::string_view Floats(const Contents& contents) { return Bytes(contents.fp32_contents()); }
absl::string_view Doubles(const Contents& contents) { return Bytes(contents.fp64_contents()); }
absl::string_view Unsigned(const Contents& contents) { return Bytes(contents.uint_contents()); }
absl::string_view Whole(const Contents& contents) { return Bytes(contents.int_contents()); }
absl::string_view Long(const Contents& contents) { return Bytes(contents.int64_contents()); }

constexpr InferenceDatatype kDatatypes[] = {
    {ElementType::kFloat32, "FP32", inference::TYPE_FP32, "fp32_contents", &Floats, 4},
    {ElementType::kFloat64, "FP64", inference::TYPE_FP64, "fp64_contents", &Doubles, 8},
    {ElementType::kFloat16, "FP16", inference::TYPE_FP16, nullptr, nullptr, 0},
    {ElementType::kBFloat16, "BF16", inference::TYPE_INVALID, nullptr, nullptr, 0},
    // Four bytes in the message, one in the tensor.
    {ElementType::kUInt8, "UINT8", inference::TYPE_UINT8, "uint_contents", &Unsigned, 4},
    {ElementType::kInt32, "INT32", inference::TYPE_INT32, "int_contents", &Whole, 4},
    {ElementType::kInt64, "INT64", inference::TYPE_INT64, "int64_contents", &Long, 8},
};

template <typename Matches>
const InferenceDatatype* Find(const Matches& matches) {
  const auto* const found = std::find_if(std::begin(kDatatypes), std::end(kDatatypes), matches);
  return found == std::end(kDatatypes) ? nullptr : found;
}

}  // namespace

const InferenceDatatype* FindDatatype(absl::string_view name) {
  return Find([=](const InferenceDatatype& known) { return name == known.name; });
}

const InferenceDatatype* FindDatatype(ElementType type) {
  return Find([=](const InferenceDatatype& known) { return type == known.type; });
}

std::vector<std::string> DatatypeNames(const std::vector<ElementType>& types) {
  std::vector<std::string> names;
  for (const ElementType type : types) {
    if (const InferenceDatatype* const known = FindDatatype(type); known != nullptr) {
      names.emplace_back(known->name);
    }
  }
  return names;
}

}  // namespace distillery
