// Layers as TorchScript source.
#pragma once

#include <string>

#include "common/model/layer.h"

namespace distillery {

// The lines of a forward that compute layer.output from layer.input, each indented by four. The
// layer's tensors are attributes of self by their dotted names. Dropout asks self.training.
std::string LayerSource(const Layer& layer);

}  // namespace distillery
