// A network whose tensors and inputs are known numbers, held against what PyTorch made of the same.
#pragma once

#include <torch/script.h>

#include <map>
#include <string>
#include <vector>

#include "common/data/sample_spec.h"
#include "tests/golden/golden_file.h"

namespace distillery {

// As in make_golden.py.
at::Tensor Pattern(int64_t key, at::IntArrayRef shape);

// Fills a network's tensors, each by its place in the order of names, in that type.
class KnownNetwork {
 public:
  KnownNetwork(const torch::jit::Module& module, at::ScalarType type);
  at::Tensor Forward(const std::vector<at::Tensor>& inputs, bool training);
  // By name, sorted.
  const std::map<std::string, at::Tensor>& tensors() const { return tensors_; }

 private:
  torch::jit::Module module_;
  std::map<std::string, at::Tensor> tensors_;
};

// The samples of a case of sample_networks.json.
SampleSpec SpecOfCase(const nlohmann::json& one);
// Their inputs [rows, sizes ...], float numbers in that type.
std::vector<at::Tensor> KnownInputs(const SampleSpec& spec, int64_t rows, at::ScalarType type);

// Compares within a tolerance that suits the type: float64 leaves no room for another formula,
// float32 is what students compute in.
class GoldenComparison {
 public:
  explicit GoldenComparison(at::ScalarType type) : tolerance_(type == at::kDouble ? 1e-9 : 2e-4) {}
  // Rows of numbers.
  void ExpectRows(const at::Tensor& got, const nlohmann::json& rows) const;
  // Its norm, its projection on a pattern and its first numbers.
  void ExpectSummary(const std::string& name, const at::Tensor& tensor,
                     const nlohmann::json& expected) const;
  // Shapes of tensors, logits in evaluation and in training, and the gradients and buffers after
  // one step towards `labels`, of which there is one for each answer.
  void ExpectCase(const nlohmann::json& one, KnownNetwork& network,
                  const std::vector<at::Tensor>& inputs, const at::Tensor& labels) const;

 private:
  void ExpectLogits(const std::string& name, const at::Tensor& logits,
                    const nlohmann::json& expected) const;
  const double tolerance_;
};

}  // namespace distillery
