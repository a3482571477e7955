#include "tests/structure/include_graph.h"

#include <algorithm>
#include <functional>

#include "absl/strings/match.h"
#include "tests/structure/include_rules.h"

namespace distillery {
namespace {

std::string WithoutEnding(const std::string& path) { return path.substr(0, path.rfind('.')); }

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

IncludeGraph FileGraph(const std::map<std::string, std::string>& sources) {
  IncludeGraph graph;
  for (const auto& [file, text] : sources) {
    const std::string node = WithoutEnding(file);
    if (absl::EndsWith(node, "/main")) continue;
    std::set<std::string>& included = graph[node];
    for (const Include& include : IncludesOf(text)) {
      const std::string target = WithoutEnding(include.path);
      if (sources.count(include.path) > 0 && target != node) included.insert(target);
    }
  }
  return graph;
}

IncludeGraph FolderGraph(const IncludeGraph& files) {
  IncludeGraph graph;
  for (const auto& [file, included] : files) {
    std::set<std::string>& folders = graph[FolderOf(file)];
    for (const std::string& target : included) {
      if (FolderOf(target) != FolderOf(file)) folders.insert(FolderOf(target));
    }
  }
  return graph;
}

std::vector<std::string> FindCircle(const IncludeGraph& graph) {
  std::set<std::string> done;
  std::vector<std::string> path;
  std::vector<std::string> circle;
  const std::function<bool(const std::string&)> visit = [&](const std::string& node) {
    const auto begin = std::find(path.begin(), path.end(), node);
    if (begin != path.end()) {
      circle.assign(begin, path.end());
      circle.push_back(node);
      return true;
    }
    if (!done.insert(node).second) return false;
    path.push_back(node);
    const auto included = graph.find(node);
    if (included != graph.end() &&
        std::any_of(included->second.begin(), included->second.end(), visit)) {
      return true;
    }
    path.pop_back();
    return false;
  };
  for (const auto& [node, included] : graph) {
    if (visit(node)) return circle;
  }
  return {};
}

}  // namespace distillery
