// Which file may include what. Includes point one way:
//   cli, tests -> {teacher_service | student_worker | coordinator} -> common -> proto
// gRPC and generated headers stay in the skin, LibTorch where numbers are made.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace distillery {

struct Include {
  int line = 0;
  std::string path;
  bool quoted = false;
};

std::vector<Include> IncludesOf(const std::string& text);

// What is forbidden in `text`, the content of `file` (a path from the root of the tree), as
// "FILE:LINE: why". `exists` tells whether a path from the root is a file.
std::vector<std::string> CheckIncludes(const std::string& file, const std::string& text,
                                       const std::function<bool(const std::string&)>& exists);

// True for a header of LibTorch.
bool IsTorchHeader(const std::string& path);

}  // namespace distillery
