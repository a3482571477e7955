// Inputs as callers send them, in any element type that loses nothing, to what the model takes.
//
// Threads: safe for all.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/element_type.h"
#include "common/data/sample_spec.h"
#include "teacher_service/teachers/input_columns.h"

namespace distillery {

// The types in which an input may be sent, the model's own first. float64, of which the Open
// Inference Protocol alone knows, is rounded to float32; all others are the same numbers.
std::vector<ElementType> SentTypes(const InputSpec& input);
bool TakesType(const InputSpec& input, ElementType type);

// INVALID_ARGUMENT for a pixel_max (0: not given) of a model that takes no pictures, and as
// CheckPixelMax of query_pixels.h.
absl::Status CheckGivenPixelMax(const SampleSpec& samples, double pixel_max);

// One input of a request.
struct SentInput {
  ElementType type = ElementType::kFloat32;
  // Its elements, little-endian, without alignment.
  absl::string_view bytes;
  // The bytes stay where they are until the query is answered.
  bool stays = true;
};

// The inputs of one request as the model takes them: the request's own bytes where they are so
// already, others in memory of its own.
class SentInputs {
 public:
  // The next input, in the order of the card. Pixels are divided by pixel_max; 0 is the default of
  // its type. REQUIRES: TakesType, and whole rows.
  void Add(const InputSpec& input, const SentInput& sent, double pixel_max);

  // Good as long as this, or what it was moved to, lives.
  InputColumns columns() const { return InputColumns(columns_); }

 private:
  std::vector<const void*> columns_;
  std::vector<std::unique_ptr<char[]>> owned_;
};

}  // namespace distillery
