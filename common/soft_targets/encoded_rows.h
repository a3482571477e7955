// Rows of soft targets as they are stored: little-endian, row-major, in up to four tensors.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/element_type.h"

namespace distillery {

// In the order of their fields in the messages.
enum class TensorRole { kValues, kRowScales, kClassIndexes, kTailMass };
inline constexpr int kTensorRoleCount = static_cast<int>(TensorRole::kTailMass) + 1;
inline constexpr TensorRole kTensorRoles[] = {TensorRole::kValues, TensorRole::kRowScales,
                                              TensorRole::kClassIndexes, TensorRole::kTailMass};
static_assert(std::size(kTensorRoles) == kTensorRoleCount);
inline constexpr absl::string_view kTensorRoleNames[] = {"values", "row_scales", "class_indexes",
                                                         "tail_mass"};
static_assert(std::size(kTensorRoleNames) == kTensorRoleCount);

// A value of type T for each tensor of encoded rows; T() for a tensor that the format does not
// have.
template <typename T>
struct PerTensor {
  // Of each position of a sample, see AnswerShape: [rows, positions..., classes] float32, float16
  // or int8; with kTopK float16 [rows, positions..., top_k], largest first.
  T values{};
  // float32 [rows, positions...]
  T row_scales{};
  // int16 or int32 [rows, positions..., top_k]
  T class_indexes{};
  // float16 [rows, positions...]
  T tail_mass{};

  T& operator[](TensorRole role) { return this->*Member(role); }
  const T& operator[](TensorRole role) const { return this->*Member(role); }

 private:
  static T PerTensor::*Member(TensorRole role) {
    constexpr T PerTensor::*kMembers[] = {&PerTensor::values, &PerTensor::row_scales,
                                          &PerTensor::class_indexes, &PerTensor::tail_mass};
    static_assert(std::size(kMembers) == kTensorRoleCount);
    return kMembers[static_cast<int>(role)];
  }
};

using EncodedRows = PerTensor<std::string>;
// Where rows are written to, of any alignment; null where the format has no tensor.
using EncodedBuffers = PerTensor<char*>;

// The tensors of encoded rows in somebody else's memory.
struct EncodedView : PerTensor<absl::string_view> {
  EncodedView() = default;
  // A view of `rows`, which must outlive this.
  explicit EncodedView(const EncodedRows& rows) {
    for (const TensorRole role : kTensorRoles) (*this)[role] = rows[role];
  }
};

// Bytes of each tensor.
struct EncodedSizes : PerTensor<int64_t> {
  int64_t total() const { return values + row_scales + class_indexes + tail_mass; }
};

// The type and shape of a tensor of encoded rows.
struct EncodedTensor {
  TensorRole role;
  ElementType type;
  std::vector<int64_t> shape;

  int64_t bytes() const {
    int64_t bytes = SpecOf(type).bytes;
    for (const int64_t size : shape) bytes *= size;
    return bytes;
  }
};

// The type of class indexes: int16, or int32 where the last class does not fit.
inline ElementType ClassIndexType(int64_t classes) {
  return classes < 32768 ? ElementType::kInt16 : ElementType::kInt32;
}
inline int64_t ClassIndexBytes(int64_t classes) { return SpecOf(ClassIndexType(classes)).bytes; }

// What an encoder is given: logits [rows, classes], a row for each position of each sample, and
// what is to be made of them.
struct LogitRowsToEncode {
  const float* logits;
  int64_t rows;
  int64_t classes;
  float temperature;
  // softmax(z/T), not z/T.
  bool probabilities;
  int64_t top_k;
  // Each number answers for itself: its probability is sigmoid(z/T).
  bool independent = false;
};

// What a decoder is given: tensors of the sizes that the encoding gives them, with a row for each
// position of each sample.
struct RowsToDecode {
  EncodedView tensors;
  int64_t rows;
  int64_t classes;
  int64_t top_k;
  // Rows of one sample.
  int64_t positions = 1;

  // "row 3", or "row 3, position 7", for messages.
  std::string Name(int64_t row) const {
    const std::string name = absl::StrCat("row ", row / positions);
    return positions == 1 ? name : absl::StrCat(name, ", position ", row % positions);
  }
};

}  // namespace distillery
