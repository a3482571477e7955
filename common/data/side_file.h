// Where files lie that keep what took long to learn of a data set. Losing one costs that time
// again.
#pragma once

#include <string>
#include <vector>

namespace distillery {

// The places for a side file `name` of the data set in `folder`, the better one first:
// FOLDER/.distillery; where that cannot be written, $XDG_CACHE_HOME/distillery or
// ~/.cache/distillery, with a part in the name that tells data sets of one name apart.
std::vector<std::string> SidePaths(const std::string& folder, const std::string& name);

}  // namespace distillery
