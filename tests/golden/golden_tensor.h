// Tensors of a golden file.
#pragma once

#include <torch/script.h>

#include "tests/golden/golden_file.h"

namespace distillery {

// A matrix, row by row.
inline at::Tensor MatrixOf(const nlohmann::json& rows, at::ScalarType type) {
  const auto height = static_cast<int64_t>(rows.size());
  return torch::tensor(Flatten(rows), torch::kFloat64).view({height, -1}).to(type);
}

// Its "labels", int64.
inline at::Tensor LabelsOf(const nlohmann::json& golden) {
  return torch::tensor(golden.at("labels").get<std::vector<int64_t>>(), torch::kInt64);
}

}  // namespace distillery
