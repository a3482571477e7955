#include "tests/structure/include_rules.h"

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>

#include "absl/strings/match.h"

namespace distillery {
namespace {

using Names = std::vector<std::string>;

// By the first folder of a file: the first folders that it may include.
const std::map<std::string, Names>& Arrows() {
  static const auto* const arrows = new std::map<std::string, Names>{
      {"common", {"common", "distillery"}},
      {"coordinator", {"coordinator", "common", "distillery"}},
      {"teacher_service", {"teacher_service", "common", "distillery", "inference"}},
      {"student_worker", {"student_worker", "common", "distillery"}},
      {"cli", {"cli", "teacher_service", "student_worker", "coordinator", "common", "distillery"}},
      {"tests",
       {"tests", "cli", "teacher_service", "student_worker", "coordinator", "common", "distillery",
        "inference"}}};
  return *arrows;
}

// Files that may know gRPC and generated messages: folders called rpc, the command line and
// programs' main files.
bool IsSkin(const std::string& file) {
  static const std::regex skin("(tests|cli)/.*|.*/rpc/.*|.*/main\\.cc");
  return std::regex_match(file, skin);
}

// Headers that only the skin may include: they bring gRPC or generated messages with them.
bool IsSkinHeader(const std::string& path) {
  static const std::regex header("grpcpp/.*|grpc/.*|google/protobuf/.*|.*\\.pb\\.h|.*/rpc/.*");
  return std::regex_match(path, header);
}

bool MayUseTorch(const std::string& file) {
  static const std::regex torch(
      "common/nn/.*|teacher_service/teachers/.*|student_worker/training/.*|cli/models/.*|"
      "tests/(common/nn|teacher_service|student_worker|golden|benchmarks|integration|fuzz)/.*");
  return std::regex_match(file, torch);
}

std::string FirstFolder(const std::string& path) { return path.substr(0, path.find('/')); }

bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "" if a quoted include names a file of the tree or of a library that is included with quotes.
std::string Missing(const std::string& path,
                    const std::function<bool(const std::string&)>& exists) {
  static const std::regex library("(absl|nlohmann|gtest|gmock)/.*");
  static const std::regex generated("((distillery|inference|grpc)/.*)(\\.grpc)?\\.pb\\.h");
  if (std::regex_match(path, library)) return "";
  if (std::smatch match; std::regex_match(path, match, generated)) {
    std::string base = match[1];
    if (const size_t at = base.rfind(".grpc"); at != std::string::npos) base.resize(at);
    return exists("proto/" + base + ".proto") ? "" : "no .proto makes it";
  }
  return exists(path) ? "" : "there is no such file from the root of the tree";
}

}  // namespace

bool IsTorchHeader(const std::string& path) {
  static const std::regex torch("(torch|ATen|c10|caffe2)/.*");
  return std::regex_match(path, torch);
}

std::vector<Include> IncludesOf(const std::string& text) {
  static const std::regex directive("^\\s*#\\s*include\\s*([<\"])([^>\"]+)[>\"].*");
  std::vector<Include> includes;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    // Most lines are none: spare them the regular expression.
    if (line.find('#') == std::string::npos) continue;
    if (std::smatch match; std::regex_match(line, match, directive)) {
      includes.push_back({number, match[2], match[1] == "\""});
    }
  }
  return includes;
}

std::vector<std::string> CheckIncludes(const std::string& file, const std::string& text,
                                       const std::function<bool(const std::string&)>& exists) {
  Names errors;
  for (const Include& include : IncludesOf(text)) {
    const auto report = [&](const std::string& why) {
      errors.push_back(file + ":" + std::to_string(include.line) + ": " + include.path + ": " +
                       why);
    };
    const std::string target = FirstFolder(include.path);
    const bool ours = Arrows().count(target) > 0 || target == "distillery" || target == "inference";
    if (ours && !include.quoted) report("files of this tree are included with quotes");
    if (include.quoted) {
      if (const std::string why = Missing(include.path, exists); !why.empty()) report(why);
    }
    if (absl::EndsWith(include.path, ".cc")) report("a .cc file is compiled, not included");
    const auto arrows = Arrows().find(FirstFolder(file));
    if (ours && arrows != Arrows().end() && !Contains(arrows->second, target)) {
      report(FirstFolder(file) + " may not include " + target);
    }
    if (IsSkinHeader(include.path) && !IsSkin(file)) {
      report("gRPC and generated headers stay in the skin");
    }
    if (IsTorchHeader(include.path) && !MayUseTorch(file)) report("LibTorch is not for this file");
  }
  return errors;
}

}  // namespace distillery
