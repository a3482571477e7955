// Greps the includes of the whole tree. Link lines cannot forbid one: every system header is in
// /usr/include, and so is every header of ours on the include path.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/structure/include_graph.h"
#include "tests/structure/include_rules.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kRoot = DISTILLERY_SOURCE_DIR;

// Content of every .h and .cc, by path from the root.
std::map<std::string, std::string> Sources() {
  std::map<std::string, std::string> sources;
  for (const char* const folder :
       {"common", "teacher_service", "student_worker", "coordinator", "cli", "tests"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(kRoot + "/" + folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cc") continue;
      std::ifstream stream(entry.path());
      std::stringstream content;
      content << stream.rdbuf();
      sources[std::filesystem::relative(entry.path(), kRoot).string()] = content.str();
    }
  }
  return sources;
}

bool Exists(const std::string& path) {
  return std::filesystem::is_regular_file(kRoot + "/" + path);
}

TEST(Structure, NoIncludeIsForbidden) {
  const auto sources = Sources();
  ASSERT_GT(sources.size(), 100);
  for (const auto& [file, text] : sources) {
    EXPECT_THAT(CheckIncludes(file, text, Exists), IsEmpty());
  }
}

// Also through other headers: what the coordinator reads must build where there is no LibTorch.
TEST(Structure, CoordinatorReachesNoTorchHeader) {
  const auto sources = Sources();
  std::set<std::string> seen;
  std::vector<std::string> open;
  for (const auto& [file, text] : sources) {
    if (file.rfind("coordinator/", 0) == 0) open.push_back(file);
  }
  ASSERT_FALSE(open.empty());
  while (!open.empty()) {
    const std::string file = open.back();
    open.pop_back();
    const auto source = sources.find(file);
    if (source == sources.end() || !seen.insert(file).second) continue;
    for (const Include& include : IncludesOf(source->second)) {
      EXPECT_FALSE(IsTorchHeader(include.path)) << file << ":" << include.line;
      open.push_back(include.path);
    }
  }
  EXPECT_GT(seen.size(), 20);
}

TEST(Structure, NoFilesAndNoFoldersIncludeEachOtherInACircle) {
  const IncludeGraph files = FileGraph(Sources());
  EXPECT_THAT(FindCircle(files), IsEmpty());
  EXPECT_THAT(FindCircle(FolderGraph(files)), IsEmpty());
}

TEST(IncludeGraph, ACircleOfFilesIsFound) {
  const IncludeGraph graph =
      FileGraph({{"a/one.h", "#include \"a/two.h\"\n"},
                 {"a/two.h", "// Nothing.\n"},
                 {"a/two.cc", "#include \"a/two.h\"\n#include \"b/three.h\"\n"},
                 {"b/three.h", "#include \"a/one.h\"\n#include \"c/none.h\"\n"}});
  EXPECT_THAT(FindCircle(graph), ElementsAre("a/one", "a/two", "b/three", "a/one"));
  EXPECT_THAT(FindCircle(FolderGraph(graph)), ElementsAre("a", "b", "a"));
}

TEST(IncludeGraph, ManyWaysToOneFileAreNoCircle) {
  const IncludeGraph graph =
      FileGraph({{"a/one.h", "#include \"a/two.h\"\n#include \"b/three.h\"\n"},
                 {"a/two.h", "#include \"b/three.h\"\n"},
                 {"b/three.h", ""},
                 {"b/main.cc", "#include \"a/one.h\"\n"}});
  EXPECT_THAT(FindCircle(graph), IsEmpty());
  EXPECT_THAT(FindCircle(FolderGraph(graph)), IsEmpty());
}

TEST(Structure, EveryHeaderIsReadOnce) {
  for (const auto& [file, text] : Sources()) {
    if (file.substr(file.size() - 2) != ".h") continue;
    EXPECT_THAT(text, HasSubstr("\n#pragma once\n")) << file;
  }
}

// The checker itself: each rule finds what is planted for it.
std::vector<std::string> Check(const std::string& file, const std::string& line) {
  return CheckIncludes(file, "// A comment.\n" + line + "\n",
                       [](const std::string& path) { return path != "common/base/none.h"; });
}

TEST(IncludeRules, ForbidArrowsBetweenServicesAndUpwards) {
  EXPECT_THAT(
      Check("coordinator/state/record.cc", "#include \"teacher_service/teachers/teacher.h\""),
      ElementsAre(
          "coordinator/state/record.cc:2: teacher_service/teachers/teacher.h: coordinator may not "
          "include teacher_service"));
  EXPECT_THAT(Check("common/base/files.cc", "#include \"coordinator/state/record.h\""),
              ElementsAre(HasSubstr("common may not include coordinator")));
  EXPECT_THAT(Check("student_worker/training/trainer.cc", "#include \"cli/runs/progress.h\""),
              ElementsAre(HasSubstr("student_worker may not include cli")));
  EXPECT_THAT(Check("cli/main.cc", "#include \"tests/common/tensor_file.h\""),
              ElementsAre(HasSubstr("cli may not include tests")));
  EXPECT_THAT(Check("cli/main.cc", "#include \"coordinator/coordinator.h\""), IsEmpty());
  EXPECT_THAT(Check("coordinator/rpc/run_messages.cc", "#include \"inference/grpc_service.pb.h\""),
              ElementsAre(HasSubstr("coordinator may not include inference")));
}

TEST(IncludeRules, AUnitIsNotIncluded) {
  EXPECT_THAT(Check("cli/main.cc", "#include \"cli/runs/progress.cc\""),
              ElementsAre(HasSubstr("a .cc file is compiled, not included")));
}

TEST(IncludeRules, KeepGrpcInTheSkin) {
  const auto forbidden = ElementsAre(HasSubstr("stay in the skin"));
  EXPECT_THAT(Check("coordinator/average.cc", "#include <grpcpp/grpcpp.h>"), forbidden);
  EXPECT_THAT(Check("common/run/task.h", "#include \"distillery/v1/tensor.pb.h\""), forbidden);
  EXPECT_THAT(Check("coordinator/coordinator.h", "#include \"common/rpc/transport.h\""), forbidden);
  EXPECT_THAT(Check("coordinator/coordinator.cc", "#include \"coordinator/rpc/run_messages.h\""),
              forbidden);
  EXPECT_THAT(
      Check("student_worker/training/trainer.h", "#include \"student_worker/rpc/worker.h\""),
      forbidden);
  EXPECT_THAT(Check("coordinator/rpc/run_messages.cc", "#include \"distillery/v1/tensor.pb.h\""),
              IsEmpty());
  EXPECT_THAT(Check("coordinator/main.cc", "#include \"common/rpc/server.h\""), IsEmpty());
}

TEST(IncludeRules, KeepTorchWhereNumbersAreMade) {
  const auto forbidden = ElementsAre(HasSubstr("LibTorch is not for this file"));
  EXPECT_THAT(Check("coordinator/average.cc", "#include <torch/script.h>"), forbidden);
  EXPECT_THAT(Check("common/base/files.h", "#include <c10/util/Half.h>"), forbidden);
  EXPECT_THAT(Check("teacher_service/main.cc", "#include <ATen/ATen.h>"), forbidden);
  EXPECT_THAT(Check("common/nn/inputs.cc", "#include <torch/script.h>"), IsEmpty());
}

TEST(IncludeRules, AskForQuotedPathsFromTheRootThatExist) {
  EXPECT_THAT(Check("common/base/a.cc", "#include \"common/base/none.h\""),
              ElementsAre(HasSubstr("no such file")));
  EXPECT_THAT(Check("common/base/a.cc", "#include <common/base/files.h>"),
              ElementsAre(HasSubstr("with quotes")));
  EXPECT_THAT(Check("common/base/a.cc", "#include \"absl/strings/str_cat.h\""), IsEmpty());
}

TEST(IncludeRules, SeeOddSpellings) {
  EXPECT_THAT(Check("coordinator/average.cc", "  #  include   <torch/script.h>  // why not"),
              ElementsAre(HasSubstr("LibTorch")));
  EXPECT_THAT(Check("coordinator/average.cc", "// #include <torch/script.h>"), IsEmpty());
}

// Fault 64: the wall clock may step back an hour at any time. It labels what people read and is
// compared with a certificate's dates; gRPC turns a deadline into one of its steady clock when it
// is set.
TEST(Structure, Fault64_NoWaitAndNoMeasurementGoesByTheWallClock) {
  const std::set<std::string> labels = {"common/base/clock.cc",
                                        "common/rpc/connection.cc",
                                        "common/security/handshake.cc",
                                        "common/security/tls_files.cc",
                                        "cli/commands/certificates_command.cc",
                                        "cli/commands/watch_command.cc"};
  const std::vector<std::string> forms = {"set_deadline(", "Shutdown(absl::ToChronoTime(",
                                          "CheckValidity(", "ReadTlsFiles("};
  for (const auto& [file, text] : Sources()) {
    if (file.rfind("tests/", 0) == 0) continue;
    std::istringstream lines(text);
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
      // gRPC puts a deadline into the wall clock's time at the moment that it is asked for.
      if (line.find("system_clock::now") != std::string::npos &&
          line.find("context.deadline()") == std::string::npos) {
        ADD_FAILURE() << file << ":" << number << ": take common/base/clock.h";
      }
      if (line.find("absl::Now()") == std::string::npos || labels.count(file) > 0) continue;
      const bool deadline = std::any_of(forms.begin(), forms.end(), [&](const std::string& form) {
        return line.find(form) != std::string::npos;
      });
      EXPECT_TRUE(deadline) << file << ":" << number << ": a wait takes SteadyNow()";
    }
  }
}

}  // namespace
}  // namespace distillery
