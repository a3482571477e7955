#include "common/data/array_elements.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/data/npy.h"

namespace distillery {
namespace {

constexpr ArrayType kArrayTypes[] = {
    {"|u1", ArrayKind::kWhole, ElementType::kUInt8, true},
    {"|b1", ArrayKind::kBool, ElementType::kUInt8, true},
    {"|i1", ArrayKind::kWhole, ElementType::kInt32, false},
    {"<i2", ArrayKind::kWhole, ElementType::kInt32, false},
    {"<u2", ArrayKind::kWhole, ElementType::kInt32, false},
    {"<i4", ArrayKind::kWhole, ElementType::kInt32, true},
    {"<u4", ArrayKind::kWhole, ElementType::kInt64, false},
    {"<i8", ArrayKind::kWhole, ElementType::kInt64, true},
    {"<f2", ArrayKind::kFloat, ElementType::kFloat16, true},
    {"<f4", ArrayKind::kFloat, ElementType::kFloat32, true},
    {"<f8", ArrayKind::kFloat, ElementType::kFloat32, false},
};

template <typename T>
void Put(T value, int64_t index, uint8_t* output) {
  std::memcpy(output + index * static_cast<int64_t>(sizeof(value)), &value, sizeof(value));
}

double FloatElement(absl::string_view npy_type, const char* bytes) {
  if (npy_type == "<f2") {
    uint16_t half = 0;
    std::memcpy(&half, bytes, sizeof(half));
    return HalfToFloat(half);
  }
  if (npy_type == "<f4") {
    float value = 0;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
  }
  double value = 0;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

// Visits the floats one by one, until one cannot be stored as float32.
template <typename Visit>
std::optional<std::string> ForEachFloat(const ArrayType& type, absl::string_view bytes,
                                        const Visit& visit) {
  const int64_t element_bytes = type.npy.back() - '0';
  const int64_t count = static_cast<int64_t>(bytes.size()) / element_bytes;
  for (int64_t i = 0; i < count; ++i) {
    const double value = FloatElement(type.npy, bytes.data() + i * element_bytes);
    if (!std::isfinite(value)) return absl::StrCat("element ", i, " is ", value);
    if (std::abs(value) > std::numeric_limits<float>::max()) {
      return absl::StrCat("element ", i, " is ", value, ", which is beyond float32");
    }
    visit(i, static_cast<float>(value));
  }
  return std::nullopt;
}

}  // namespace

const ArrayType& ArrayTypeOf(absl::string_view npy) {
  for (const ArrayType& type : kArrayTypes) {
    if (type.npy == npy) return type;
  }
  return kArrayTypes[0];
}

const std::vector<std::string>& InputTypes() {
  static const auto* const types = [] {
    auto* const names = new std::vector<std::string>;
    for (const ArrayType& type : kArrayTypes) names->emplace_back(type.npy);
    return names;
  }();
  return *types;
}

int64_t WholeElement(absl::string_view npy_type, absl::string_view bytes, int64_t index) {
  if (npy_type == "|b1") return static_cast<uint8_t>(bytes[static_cast<size_t>(index)]);
  return NpyArray{std::string(npy_type), {}, bytes}.Integer(index);
}

std::optional<std::string> StoreElements(const ArrayType& type, absl::string_view bytes,
                                         uint8_t* output) {
  if (type.kind == ArrayKind::kFloat && !type.as_it_is) return StoreFloats(type, bytes, output);
  if (type.as_it_is) {
    std::memcpy(output, bytes.data(), bytes.size());
    if (type.kind != ArrayKind::kFloat) return std::nullopt;
    return ForEachFloat(type, bytes, [](int64_t, float) {});
  }
  const int64_t count = static_cast<int64_t>(bytes.size()) / (type.npy.back() - '0');
  const NpyArray array{std::string(type.npy), {}, bytes};
  for (int64_t i = 0; i < count; ++i) {
    if (type.stored == ElementType::kInt64) {
      Put(array.Integer(i), i, output);
    } else {
      Put(static_cast<int32_t>(array.Integer(i)), i, output);
    }
  }
  return std::nullopt;
}

std::optional<std::string> StoreFloats(const ArrayType& type, absl::string_view bytes,
                                       uint8_t* output) {
  return ForEachFloat(type, bytes, [output](int64_t i, float value) { Put(value, i, output); });
}

}  // namespace distillery
