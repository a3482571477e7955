// The golden numbers of this folder, made by make_golden.py with PyTorch.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace distillery {

inline nlohmann::json ReadGolden(const std::string& name) {
  const std::string path = std::string(DISTILLERY_SOURCE_DIR) + "/tests/golden/" + name;
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << "cannot read " << path;
  return nlohmann::json::parse(file);
}

// Rows of one matrix end to end.
inline std::vector<double> Flatten(const nlohmann::json& rows) {
  std::vector<double> values;
  for (const nlohmann::json& row : rows) {
    if (!row.is_array()) {
      values.push_back(row.get<double>());
      continue;
    }
    for (const nlohmann::json& value : row) values.push_back(value.get<double>());
  }
  return values;
}

}  // namespace distillery
