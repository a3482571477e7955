// What readers of YAML files with a run in them share; run_spec.h is the interface.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"

namespace distillery {

// The document's root, a map. Throws YAML::Exception.
absl::StatusOr<YAML::Node> LoadRunYaml(const std::string& yaml, const std::string& file_name);
// Checks all keys and values; "FILE:LINE: ..." if something is wrong. Throws YAML::Exception.
absl::StatusOr<RunSpec> RunSpecFromYaml(const YAML::Node& root, const std::string& file_name);
absl::Status YamlError(const YAML::Exception& error, const std::string& file_name);

}  // namespace distillery
