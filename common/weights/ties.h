// Tensors of a set of weights that always hold equal values: a model's tied weights.
#pragma once

#include <map>
#include <string>

namespace distillery {

// From each further name of such a tensor to the first of its names in alphabetical order.
using Ties = std::map<std::string, std::string>;

}  // namespace distillery
