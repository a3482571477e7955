#include "common/base/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <type_traits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/names.h"
#include "common/base/terminal.h"

namespace distillery {

Flag Flag::Required() const { return Flag(option_->required()); }
Flag Flag::ShowDefault() const { return Flag(option_->capture_default_str()); }
Flag Flag::ShowDefault(const std::string& text) const { return Flag(option_->default_str(text)); }
Flag Flag::Between(int64_t least, int64_t most) const {
  return Flag(option_->check(CLI::Range(least, most)));
}
Flag Flag::Between(double least, double most) const {
  return Flag(option_->check(CLI::Range(least, most)));
}
Flag Flag::Positive() const { return Flag(option_->check(CLI::PositiveNumber)); }
Flag Flag::NonNegative() const { return Flag(option_->check(CLI::NonNegativeNumber)); }
Flag Flag::Delimiter(char delimiter) const { return Flag(option_->delimiter(delimiter)); }
Flag Flag::OneOf(const std::vector<std::string>& values) const {
  return Flag(option_->check(CLI::IsMember(values)));
}
Flag Flag::Help(const std::string& text) const { return Flag(option_->description(text)); }
Flag Flag::Group(const std::string& name) const { return Flag(option_->group(name)); }
Flag Flag::FromEnvironment(const std::string& variable) const {
  return Flag(option_->envname(variable));
}
Flag Flag::Needs(const Flag& other) const { return Flag(option_->needs(other.option_)); }
bool Flag::given() const { return option_->count() > 0; }
std::string Flag::name() const { return option_->get_name(); }

CommandLine::CommandLine(const std::string& description, const std::string& name)
    : app_(std::make_shared<CLI::App>(description, name)) {}

template <typename T>
Flag CommandLine::Add(const std::string& name, T& target, const std::string& help) {
  if constexpr (std::is_same_v<T, bool>) {
    return Flag(app_->add_flag(name, target, help));
  } else {
    return Flag(app_->add_option(name, target, help));
  }
}
template Flag CommandLine::Add(const std::string&, bool&, const std::string&);
template Flag CommandLine::Add(const std::string&, int&, const std::string&);
template Flag CommandLine::Add(const std::string&, int64_t&, const std::string&);
template Flag CommandLine::Add(const std::string&, uint64_t&, const std::string&);
template Flag CommandLine::Add(const std::string&, double&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::string&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::vector<std::string>&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::vector<int>&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::vector<int64_t>&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::vector<double>&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::optional<int64_t>&, const std::string&);
template Flag CommandLine::Add(const std::string&, std::optional<double>&, const std::string&);

CommandLine CommandLine::Part(CLI::App* app) const {
  return CommandLine(std::shared_ptr<CLI::App>(app_, app));
}

CommandLine CommandLine::AddCommand(const std::string& name, const std::string& description) {
  return Part(app_->add_subcommand(name, description));
}

void CommandLine::RequireCommand() { app_->require_subcommand(1); }
void CommandLine::FallThrough() { app_->fallthrough(); }
void CommandLine::Footer(const std::string& text) { app_->footer(text); }

void CommandLine::AddCommonFlags(LogOptions* log) {
  Add("--log-level", log->level, "debug, info, warning or error")
      .OneOf({"debug", "info", "warning", "error"})
      .ShowDefault();
  Add("--log-format", log->format, "text, or json: one object a line")
      .OneOf({"text", "json"})
      .ShowDefault();
  app_->set_version_flag("--version", absl::StrCat(name(), " ", DISTILLERY_VERSION));
}

Flag CommandLine::Find(const std::string& name) const { return Flag(app_->get_option(name)); }
bool CommandLine::parsed() const { return app_ != nullptr && app_->parsed(); }
std::string CommandLine::name() const { return app_->get_name(); }

std::vector<CommandLine> CommandLine::commands() const {
  std::vector<CommandLine> commands;
  for (CLI::App* const command : app_->get_subcommands(nullptr)) commands.push_back(Part(command));
  return commands;
}

std::vector<std::string> CommandLine::long_flags() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : app_->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

CommandLine CommandLine::Innermost() const {
  const std::vector<CLI::App*> given = app_->get_subcommands();
  return given.empty() ? *this : Part(given.front()).Innermost();
}

std::string CommandLine::DescribeExtras(int argc, char** argv) const {
  const std::vector<std::string> flags = long_flags();
  for (int i = 1; i < argc; ++i) {
    const std::string flag = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    if (absl::StartsWith(flag, "--") &&
        std::find(flags.begin(), flags.end(), flag) == flags.end()) {
      const std::string nearest = NearestName(flag, flags);
      return absl::StrCat("unknown flag ", flag,
                          nearest.empty() ? std::string("; see --help")
                                          : absl::StrCat("; did you mean ", nearest, "?"));
    }
  }
  for (const std::string& extra : app_->remaining(true)) {
    std::vector<std::string> names;
    for (const CommandLine& command : commands()) names.push_back(command.name());
    if (names.empty()) return absl::StrCat("unexpected argument \"", extra, "\"; see --help");
    return UnknownName("command", extra, names);
  }
  return "arguments were not understood; see --help";
}

int CommandLine::Parse(int argc, char** argv) const {
  std::string text;
  try {
    app_->parse(argc, argv);
    return -1;
  } catch (const CLI::Success& help) {
    return app_->exit(help);
  } catch (const CLI::ExtrasError&) {
    text = Innermost().DescribeExtras(argc, argv);
  } catch (const CLI::ParseError& error) {
    // A required flag or command is often missing because another was misspelt: say that first.
    text = absl::StrReplaceAll(error.what(), {{"\n", " "}});
    const std::string extras = Innermost().DescribeExtras(argc, argv);
    if (absl::StartsWith(extras, "unknown ")) text = extras;
    if (!absl::StrContains(text, "--help")) text += " (see --help)";
  }
  Print(stderr, "%s: %s\n", name().c_str(), text.c_str());
  return kExitWrongUsage;
}

int ReportStatus(const std::string& program, const absl::Status& status) {
  if (status.ok()) return kExitDone;
  if (LogsAreJson()) {
    LogCritical("{}", std::string(status.message()));
  } else {
    Print(stderr, "%s: %s\n", program.c_str(), std::string(status.message()).c_str());
  }
  return absl::IsInvalidArgument(status) ? kExitWrongUsage : kExitFailed;
}

}  // namespace distillery
