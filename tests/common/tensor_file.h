// Small safetensors files for tests, and their values back.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "common/weights/weights.h"

namespace distillery {

// The canonical file of float32 vectors and int64 scalars.
inline std::string MakeTensorFile(const std::map<std::string, std::vector<float>>& vectors,
                                  const std::map<std::string, int64_t>& scalars = {}) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, values] : vectors) {
    TensorSpec spec;
    spec.name = name;
    spec.shape = {static_cast<int64_t>(values.size())};
    specs.push_back(spec);
  }
  for (const auto& [name, value] : scalars) {
    TensorSpec spec;
    spec.name = name;
    spec.type = ElementType::kInt64;
    specs.push_back(spec);
  }
  Weights weights(*WeightsLayout::Create(specs));
  for (const TensorSpec& tensor : weights.layout().tensors()) {
    const auto vector = vectors.find(tensor.name);
    const void* const source = vector != vectors.end()
                                   ? static_cast<const void*>(vector->second.data())
                                   : &scalars.at(tensor.name);
    if (tensor.byte_count == 0) continue;  // an empty vector may have no address
    std::memcpy(weights.Bytes(tensor), source, static_cast<size_t>(tensor.byte_count));
  }
  return weights.file();
}

// The elements of tensor `name`; a failure and nothing if the file is malformed or lacks it.
template <typename T>
std::vector<T> TensorValues(const std::string& file, const std::string& name) {
  const absl::StatusOr<WeightsLayout> layout = WeightsLayout::Parse(file);
  const TensorSpec* const tensor = layout.ok() ? layout->Find(name) : nullptr;
  if (tensor == nullptr || tensor->byte_count != tensor->element_count * int64_t{sizeof(T)}) {
    ADD_FAILURE() << "no such tensor: " << name << " " << layout.status();
    return {};
  }
  std::vector<T> values(static_cast<size_t>(tensor->element_count));
  std::memcpy(values.data(), file.data() + layout->data_start() + tensor->offset,
              static_cast<size_t>(tensor->byte_count));
  return values;
}

}  // namespace distillery
