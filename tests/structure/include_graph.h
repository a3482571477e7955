// Who includes whom, and whether that goes round in a circle.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

namespace distillery {

// By file or folder: those that it includes.
using IncludeGraph = std::map<std::string, std::set<std::string>>;

// `sources`: content of files by path from the root. A header and its .cc are one node; includes of
// anything that is not in `sources` are left out, and programs' main files, which join what is
// apart, too.
IncludeGraph FileGraph(const std::map<std::string, std::string>& sources);

// The graph of the folders that the files lie in.
IncludeGraph FolderGraph(const IncludeGraph& files);

// The nodes of a circle in order, its first one again at the end; empty if there is none.
std::vector<std::string> FindCircle(const IncludeGraph& graph);

}  // namespace distillery
