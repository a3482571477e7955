#include "common/run/sweep.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/run_spec_yaml.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// Visits a RunSpec and lists its keys.
class Flattener {
 public:
  template <typename T>
  void Field(const char* name, const T& value) {
    fields_.emplace_back(prefix_ + name, nlohmann::json(value).dump());
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    prefix_ = absl::StrCat(name, ".");
    body();
    prefix_.clear();
  }
  std::vector<std::pair<std::string, std::string>> Take() { return std::move(fields_); }

 private:
  std::string prefix_;
  std::vector<std::pair<std::string, std::string>> fields_;
};

absl::Status At(const YAML::Node& node, const std::string& file_name, const std::string& message) {
  return absl::InvalidArgumentError(
      absl::StrCat(file_name, ":", node.Mark().line + 1, ": sweep ", message));
}

// The path that `key` means: itself, or the only one that ends in it.
absl::StatusOr<std::string> PathOf(const YAML::Node& key, const std::string& file_name) {
  if (!key.IsScalar()) return At(key, file_name, "keys must be plain words");
  std::vector<std::string> known;
  std::vector<std::string> ending;
  for (const auto& [path, value] : FlattenRunSpec(RunSpec())) {
    if (path == "name" || absl::StartsWith(path, "scheduling.")) continue;
    if (path == key.Scalar()) return path;
    known.push_back(path);
    if (absl::EndsWith(path, "." + key.Scalar())) ending.push_back(path);
  }
  if (ending.size() == 1) return ending.front();
  if (ending.size() > 1) {
    return At(key, file_name,
              absl::StrCat("key \"", key.Scalar(), "\" may be ", absl::StrJoin(ending, " or ")));
  }
  return At(key, file_name, absl::StrCat("has an ", UnknownName("key", key.Scalar(), known)));
}

struct Axis {
  std::string path;
  std::vector<YAML::Node> values;
};

absl::StatusOr<std::vector<Axis>> ParseAxes(const YAML::Node& sweep, const std::string& file_name) {
  if (!sweep.IsMap() || sweep.size() == 0) {
    return At(sweep, file_name, "must hold keys and lists, such as temperature: [1, 4, 20]");
  }
  std::vector<Axis> axes;
  size_t runs = 1;
  for (const auto& entry : sweep) {
    Axis axis;
    DISTILLERY_ASSIGN_OR_RETURN(axis.path, PathOf(entry.first, file_name));
    for (const Axis& other : axes) {
      if (other.path == axis.path) {
        return At(entry.first, file_name, absl::StrCat("has ", axis.path, " twice"));
      }
    }
    if (!entry.second.IsSequence() || entry.second.size() == 0) {
      return At(entry.first, file_name, absl::StrCat(axis.path, " must be a list of values"));
    }
    runs *= entry.second.size();
    if (runs > kMostSweptRuns) {
      return At(entry.first, file_name,
                absl::StrCat("stands for more than ", kMostSweptRuns, " runs"));
    }
    for (const auto& value : entry.second) axis.values.push_back(value);
    axes.push_back(std::move(axis));
  }
  return axes;
}

void SetAt(YAML::Node root, const std::string& path, const YAML::Node& value) {
  const size_t dot = path.find('.');
  if (dot == std::string::npos) {
    root[path] = value;
  } else {
    root[path.substr(0, dot)][path.substr(dot + 1)] = value;
  }
}

std::string TextOf(const YAML::Node& value) {
  if (value.IsScalar()) return value.Scalar();
  std::vector<std::string> parts;
  for (const auto& part : value) parts.push_back(TextOf(part));
  return absl::StrJoin(parts, ",");
}

std::string NameOf(const std::string& base, const SweptRun& run, size_t number) {
  constexpr size_t kLongestName = 64;
  std::string name = base;
  for (const auto& [path, value] : run.values) {
    absl::StrAppend(&name, "-", path.substr(path.find('.') + 1), "_", value);
  }
  for (char& letter : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(letter)) && letter != '_' &&
        letter != '.') {
      letter = '-';
    }
  }
  return name.size() <= kLongestName ? name : absl::StrCat(base, "-", number);
}

absl::StatusOr<std::vector<SweptRun>> Expand(YAML::Node root, const std::string& file_name) {
  const YAML::Node sweep = root["sweep"];
  if (!sweep.IsDefined()) {
    DISTILLERY_ASSIGN_OR_RETURN(RunSpec spec, RunSpecFromYaml(root, file_name));
    return std::vector<SweptRun>{{std::move(spec), {}}};
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Axis> axes, ParseAxes(sweep, file_name));
  root.remove("sweep");
  std::vector<SweptRun> runs;
  std::vector<size_t> at(axes.size(), 0);
  while (true) {
    SweptRun run;
    // Values are set in the document itself, so that lines in messages stay true.
    for (size_t i = 0; i < axes.size(); ++i) {
      SetAt(root, axes[i].path, axes[i].values[at[i]]);
      run.values.emplace_back(axes[i].path, TextOf(axes[i].values[at[i]]));
    }
    DISTILLERY_ASSIGN_OR_RETURN(run.spec, RunSpecFromYaml(root, file_name));
    run.spec.name = NameOf(run.spec.name, run, runs.size() + 1);
    runs.push_back(std::move(run));
    size_t axis = axes.size();
    while (axis > 0 && ++at[axis - 1] == axes[axis - 1].values.size()) at[--axis] = 0;
    if (axis == 0) return runs;
  }
}

}  // namespace

absl::StatusOr<std::vector<SweptRun>> ParseSweep(const std::string& yaml,
                                                 const std::string& file_name) {
  try {
    DISTILLERY_ASSIGN_OR_RETURN(const YAML::Node root, LoadRunYaml(yaml, file_name));
    return Expand(root, file_name);
  } catch (const YAML::Exception& error) {
    return YamlError(error, file_name);
  }
}

absl::StatusOr<std::vector<SweptRun>> ReadSweep(const std::string& path) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string yaml, ReadFile(path, 1 << 20));
  return ParseSweep(yaml, path);
}

std::vector<std::pair<std::string, std::string>> FlattenRunSpec(const RunSpec& spec) {
  Flattener flattener;
  VisitRunSpec(flattener, spec);
  return flattener.Take();
}

}  // namespace distillery
