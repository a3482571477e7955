// The nodes and constants of an ONNX graph (https://onnx.ai, opset 13).
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

class OnnxGraph {
 public:
  // `taken`: names of the graph's inputs and outputs. Neither pointer nor weights are owned.
  OnnxGraph(onnx::GraphProto* graph, const Weights& weights, std::set<std::string> taken)
      : graph_(graph), weights_(weights), taken_(std::move(taken)) {}

  // A node of that operator with one output of a new name. The pointer is good until the next node.
  onnx::NodeProto* AddNode(const std::string& type, const std::vector<std::string>& inputs);
  // The same, and the name of its output.
  std::string Add(const std::string& type, const std::vector<std::string>& inputs) {
    return AddNode(type, inputs)->output(0);
  }

  // Tensor `name` of the weights as a constant. FAILED_PRECONDITION if it is missing or not
  // float32.
  absl::StatusOr<std::string> AddWeight(const std::string& name);
  // The float32 values of that tensor. Errors likewise.
  absl::StatusOr<std::vector<float>> WeightValues(const std::string& name) const;
  // Constants; no shape: one number.
  std::string AddFloats(const std::vector<float>& values, const std::vector<int64_t>& shape);
  std::string AddInts(const std::vector<int64_t>& values, const std::vector<int64_t>& shape);
  std::string AddBools(const std::vector<bool>& values, const std::vector<int64_t>& shape);
  std::string AddFloat(double value) { return AddFloats({static_cast<float>(value)}, {}); }
  // A list of sizes or axes.
  std::string AddList(const std::vector<int64_t>& values) {
    return AddInts(values, {static_cast<int64_t>(values.size())});
  }

 private:
  onnx::TensorProto* AddConstant(int32_t type, const std::vector<int64_t>& shape);
  // `name`, or one like it that is free.
  std::string Unused(std::string name);

  onnx::GraphProto* const graph_;
  const Weights& weights_;
  std::set<std::string> taken_;
};

// Attributes of a node.
void SetInts(onnx::NodeProto* node, const std::string& name, const std::vector<int64_t>& values);
void SetInt(onnx::NodeProto* node, const std::string& name, int64_t value);
void SetFloat(onnx::NodeProto* node, const std::string& name, double value);
void SetString(onnx::NodeProto* node, const std::string& name, const std::string& value);

}  // namespace distillery
