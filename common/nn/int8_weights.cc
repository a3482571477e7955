#include "common/nn/int8_weights.h"

#include <torch/csrc/jit/passes/freeze_module.h>

#include <algorithm>
#include <cfloat>
#include <functional>
#include <map>
#include <sstream>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/nn/architecture.h"
#include "common/nn/numerics.h"

namespace distillery {
namespace {

using torch::jit::Block;
using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::WithInsertPoint;
namespace prim = torch::jit::prim;

// Calls `visit` for each constant in `block` and the blocks of its ifs and loops.
void ForEachConstant(Block* block, const std::function<void(Node*, const c10::IValue&)>& visit) {
  // `visit` may add nodes behind the one it is given, hence the copy.
  const std::vector<Node*> nodes(block->nodes().begin(), block->nodes().end());
  for (Node* const node : nodes) {
    for (Block* const inner : node->blocks()) ForEachConstant(inner, visit);
    if (node->kind() != prim::Constant) continue;
    // A function that forward calls is a constant without a value.
    if (const auto value = torch::jit::toIValue(node->output())) visit(node, *value);
  }
}

void ReplaceBy(torch::jit::Value* value, Node* constant) {
  constant->output()->replaceAllUsesWith(value);
  constant->destroy();
}

// A recurrent layer's weights are one constant, a list: makes each tensor of it a constant.
void SplitTensorLists(Graph& graph) {
  ForEachConstant(graph.block(), [&](Node* constant, const c10::IValue& value) {
    if (!value.isTensorList()) return;
    const WithInsertPoint behind(constant->next());
    std::vector<torch::jit::Value*> elements;
    for (const at::Tensor& tensor : value.toTensorVector()) {
      elements.push_back(graph.insertConstant(tensor));
    }
    Node* const list = graph.createList(c10::TensorType::get(), elements);
    ReplaceBy(graph.insertNode(list)->output(), constant);
  });
}

// constant -> users becomes int8 constant -> aten::mul(scale constant) -> users. A product of int8
// and float32 tensors is computed in float32, which holds each int8 value exactly.
void Replace(Graph& graph, Node* constant, const Int8Weight& weight) {
  const WithInsertPoint behind(constant->next());
  torch::jit::Value* const product =
      graph.insert(torch::jit::aten::mul,
                   {graph.insertConstant(weight.values), graph.insertConstant(weight.scale)});
  ReplaceBy(product, constant);
}

absl::Status QuantiseConstants(Graph& graph) {
  // One pair per tensor (memory, shape, strides) however often forward reads it, so that the file
  // holds it once.
  std::map<std::tuple<const void*, std::vector<int64_t>, std::vector<int64_t>>, Int8Weight> done;
  absl::Status status;
  SplitTensorLists(graph);
  ForEachConstant(graph.block(), [&](Node* node, const c10::IValue& value) {
    if (!status.ok() || !value.isTensor()) return;
    const at::Tensor weight = value.toTensor();
    // What is not finite is no weight: an attention mask holds -inf.
    if (weight.scalar_type() != at::kFloat || weight.dim() < 2 ||
        weight.numel() < kMinInt8Elements || !weight.isfinite().all().item<bool>()) {
      return;
    }
    const auto key =
        std::make_tuple(weight.data_ptr(), weight.sizes().vec(), weight.strides().vec());
    auto found = done.find(key);
    if (found == done.end()) {
      absl::StatusOr<Int8Weight> int8 = ToInt8(weight);
      status = int8.status();
      if (!status.ok()) return;
      found = done.emplace(key, *std::move(int8)).first;
    }
    Replace(graph, node, found->second);
  });
  if (status.ok() && done.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the model has no finite float32 weight of two or more dimensions and ", kMinInt8Elements,
        " or more elements, so int8 would save nothing: keep it as it is"));
  }
  return status;
}

}  // namespace

absl::StatusOr<Int8Weight> ToInt8(const at::Tensor& weight) {
  const at::Tensor rows = weight.detach().contiguous().flatten(1);  // [channels, elements]
  const at::Tensor largest = std::get<0>(rows.abs().max(1));        // [channels]
  if (!largest.isfinite().all().item<bool>()) {
    return absl::InvalidArgumentError(absl::StrCat("a tensor of ", weight.numel(),
                                                   " elements holds a value that is not finite, "
                                                   "which has no int8 form: leave it float32"));
  }
  at::Tensor scale = largest / 127;
  // Also channels so small that their scale is denormal: they round to zeros.
  scale.masked_fill_(scale < FLT_MIN, 1);
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[0] = weight.size(0);
  Int8Weight result;
  result.scale = scale.view(shape);
  result.values =
      weight.detach().div(result.scale).round_().clamp_(-127, 127).to(at::kChar).contiguous();
  return result;
}

absl::StatusOr<torch::jit::Module> WithInt8Weights(const torch::jit::Module& module) {
  if (HasInt8Weights(module)) {
    return absl::InvalidArgumentError("the model's weights are int8 already");
  }
  absl::StatusOr<torch::jit::Module> result = absl::InternalError("not made");
  absl::Status quantised;
  const absl::Status frozen = CatchTorchErrors([&] {
    // Freezing sees what it can inline, and LibTorch inlines only with the optimizer on, which
    // ConfigureTorch turns off, and only functions that did not run while it was off: hence a copy
    // through the file format, in which nothing ever ran.
    const torch::jit::GraphOptimizerEnabledGuard inlining(true);
    std::stringstream bytes;
    module.save(bytes);
    torch::jit::Module copy = torch::jit::load(bytes);
    if (copy.hasattr("training")) copy.eval();
    // Alone, freezing only makes weights constants: what folds a BatchNorm into the layer before it
    // is torch::jit::optimize_for_inference and torch::jit::freeze's optimize_numerics.
    torch::jit::freeze_module_inplace(&copy);
    quantised = QuantiseConstants(*copy.get_method("forward").graph());
    copy.register_attribute(kInt8ParameterCount, c10::IntType::get(), CountParameters(module));
    result = std::move(copy);
    return absl::OkStatus();
  });
  if (!frozen.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "TorchScript cannot freeze the model, which int8 needs: ", std::string(frozen.message())));
  }
  if (!quantised.ok()) return quantised;
  return result;
}

bool HasInt8Weights(const torch::jit::Module& module) {
  return module.hasattr(kInt8ParameterCount);
}

std::vector<at::Tensor> ConstantTensors(const torch::jit::Module& module) {
  std::vector<at::Tensor> tensors;
  const auto add = [&](Node*, const c10::IValue& value) {
    if (!value.isTensor() || !value.toTensor().defined()) return;
    const at::Tensor tensor = value.toTensor();
    const bool known = std::any_of(tensors.begin(), tensors.end(),
                                   [&](const at::Tensor& other) { return other.is_same(tensor); });
    if (!known) tensors.push_back(tensor);
  };
  ForEachConstant(module.get_method("forward").graph()->block(), add);
  return tensors;
}

}  // namespace distillery
