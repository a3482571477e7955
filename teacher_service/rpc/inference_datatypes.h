// The element types of the Open Inference Protocol: their names, and where messages hold them.
//
// Threads: safe for all.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/element_type.h"
#include "inference/grpc_service.pb.h"

namespace distillery {

struct InferenceDatatype {
  ElementType type;
  const char* name;
  // In a model's configuration; TYPE_INVALID: no model takes it as it is.
  inference::DataType config;
  // The field of InferTensorContents; null: in raw contents alone.
  const char* field;
  // The elements of that field, each `field_bytes` long.
  absl::string_view (*elements)(const inference::InferTensorContents& contents);
  int64_t field_bytes;
};

// Null for a type that the protocol has not, or we do not take.
const InferenceDatatype* FindDatatype(absl::string_view name);
const InferenceDatatype* FindDatatype(ElementType type);

// Of those that are there.
std::vector<std::string> DatatypeNames(const std::vector<ElementType>& types);

}  // namespace distillery
