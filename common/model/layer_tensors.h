// What a layer holds: the names, shapes and first values of its tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/model/layer.h"

namespace distillery {

struct LayerTensor {
  enum class Start {
    // In +-scale, drawn.
    kUniform,
    // With deviation `scale`, drawn.
    kNormal,
    kZeros,
    kOnes,
    // An int64 0, of no dimension.
    kCount,
  };
  // The tensor's name is layer.name + "." + part.
  std::string part;
  std::vector<int64_t> shape;
  Start start = Start::kZeros;
  double scale = 0;
  // Not trained by gradients.
  bool buffer = false;
};

// In the order in which a module registers them; none for a layer that holds nothing. Weights and
// biases of layers with a bias are uniform in +-1/sqrt(fan in). Convolutions without: normal with
// variance 2 / fan out (He et al. 2015: "Delving deep into rectifiers"). A GRU's tensors are
// uniform in +-1/sqrt(states). Embeddings: normal, deviation 0.02 (Radford et al. 2019). Norms:
// weight 1, bias 0.
std::vector<LayerTensor> TensorsOf(const Layer& layer);

// Elements of tensors of two or more dimensions: about the multiplications for a sample, or for one
// position of it.
int64_t WeightCount(const Layer& layer);

}  // namespace distillery
