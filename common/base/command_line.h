// Command lines: CLI11 with our manners. Unknown flags are refused with the nearest known one; help
// and version end with 0, wrong usage with 2.
//
// CLI11 is a header that takes four seconds to compile, so it is included in command_line.cc alone.
// These classes are handles: copies speak of the same command line, which lives as long as any.
//
//   CommandLine line("What the program does.", "program");
//   line.Add("--seeds", seeds, "students of each kind").Between(1, 100).ShowDefault();
//   if (const int code = line.Parse(argc, argv); code >= 0) return code;
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/logging.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace distillery {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitWrongUsage = 2;

// A flag or a positional argument. Each function returns the flag itself.
class Flag {
 public:
  explicit Flag(CLI::Option* option = nullptr) : option_(option) {}

  Flag Required() const;
  // Help shows what the target holds now, or `text`, as the default.
  Flag ShowDefault() const;
  Flag ShowDefault(const std::string& text) const;
  Flag Between(int64_t least, int64_t most) const;
  Flag Between(int least, int most) const { return Between(int64_t{least}, int64_t{most}); }
  Flag Between(double least, double most) const;
  // More than 0; 0 or more.
  Flag Positive() const;
  Flag NonNegative() const;
  // Each value is cut at it, for a vector.
  Flag Delimiter(char delimiter) const;
  Flag OneOf(const std::vector<std::string>& values) const;
  // In place of the help that it was added with.
  Flag Help(const std::string& text) const;
  // Where help shows it; "": nowhere.
  Flag Group(const std::string& name) const;
  Flag FromEnvironment(const std::string& variable) const;
  // Is only understood together with `other`.
  Flag Needs(const Flag& other) const;

  // After parsing: it was there.
  bool given() const;
  // "--seeds"
  std::string name() const;

 private:
  CLI::Option* option_;
};

class CommandLine {
 public:
  // Stands for none until it is assigned to.
  CommandLine() = default;
  CommandLine(const std::string& description, const std::string& name);

  // "--name" is a flag, "name" a positional argument. `target` must outlive the parsing. A bool is
  // set by its mere presence; a vector takes all that are given; other types are bool, std::string,
  // int, int64_t, uint64_t, double, vectors and optionals of them, as far as command_line.cc names
  // them.
  template <typename T>
  Flag Add(const std::string& name, T& target, const std::string& help = "");
  CommandLine AddCommand(const std::string& name, const std::string& description);
  // One of the commands must be given.
  void RequireCommand();
  // What a command does not know is looked for in its parent.
  void FallThrough();
  void Footer(const std::string& text);
  // --log-level, --log-format and --version.
  void AddCommonFlags(LogOptions* log);
  // REQUIRES: `name` was added.
  Flag Find(const std::string& name) const;

  // Parses; returns -1 to go on, or the exit code after help, version or a wrong command line,
  // which has been printed.
  int Parse(int argc, char** argv) const;
  // After parsing: this command was given.
  bool parsed() const;

  std::string name() const;
  std::vector<CommandLine> commands() const;
  // "--seeds", "--help" ...
  std::vector<std::string> long_flags() const;

 private:
  explicit CommandLine(std::shared_ptr<CLI::App> app) : app_(std::move(app)) {}
  CommandLine Part(CLI::App* app) const;
  // The innermost command that was given.
  CommandLine Innermost() const;
  std::string DescribeExtras(int argc, char** argv) const;

  std::shared_ptr<CLI::App> app_;
};

// Prints "PROGRAM: message" to standard error (a line of the log where that is JSON) and returns
// the exit code for `status`: 0 if OK, 2 for INVALID_ARGUMENT, else 1.
int ReportStatus(const std::string& program, const absl::Status& status);

}  // namespace distillery
