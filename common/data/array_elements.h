// Elements of NPY arrays as samples store them: NumPy has more types than inputs do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/element_type.h"

namespace distillery {

enum class ArrayKind { kBool, kWhole, kFloat };

struct ArrayType {
  // "<f4"
  absl::string_view npy;
  ArrayKind kind;
  // What inputs of it are stored as.
  ElementType stored;
  // The bytes in the file are those that are stored.
  bool as_it_is;
};

// REQUIRES: a type of InputTypes().
const ArrayType& ArrayTypeOf(absl::string_view npy);
// All that are read.
const std::vector<std::string>& InputTypes();

// Element `index` of an array of whole numbers or bools.
int64_t WholeElement(absl::string_view npy_type, absl::string_view bytes, int64_t index);

// Writes the elements, stored as `stored` says, to output [elements]. Returns what is wrong with
// the first that cannot be stored, "element 3 is nan": it is not finite, or beyond float32.
std::optional<std::string> StoreElements(const ArrayType& type, absl::string_view bytes,
                                         uint8_t* output);
// The same for values, which are float32. REQUIRES: a type of floats.
std::optional<std::string> StoreFloats(const ArrayType& type, absl::string_view bytes,
                                       uint8_t* output);

}  // namespace distillery
