// Tensors of a set of weights that always hold equal values: a model's tied weights.
#pragma once

#include <map>
#include <string>

namespace distillery {

// By each further name of such a tensor: the first of its names, in the order of names.
using Ties = std::map<std::string, std::string>;

}  // namespace distillery
