// Computes ONNX graphs with LibTorch's operators, as the specification of each ONNX operator
// (https://onnx.ai, opset 13) says; as many operators as exported students are made of.
#pragma once

#include <onnx/onnx_pb.h>
#include <torch/script.h>

#include <map>
#include <string>

namespace distillery {

// The graph's first output. Throws std::runtime_error for an operator or an attribute that is not
// known here.
at::Tensor EvaluateOnnx(const onnx::GraphProto& graph,
                        const std::map<std::string, at::Tensor>& inputs);

}  // namespace distillery
