// distillery completion: shell completion made from the commands themselves.
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/commands/command.h"

namespace distillery {
namespace {

// The words that may follow `app`: its commands and long flags.
std::string WordsAfter(const CLI::App& app) {
  std::string words;
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    absl::StrAppend(&words, command->get_name(), " ");
  }
  for (const CLI::Option* const option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) absl::StrAppend(&words, "--", name, " ");
  }
  if (!words.empty()) words.pop_back();
  return words;
}

// One case per command path, such as "runs compare".
void AppendCases(const CLI::App& app, const std::string& path, std::string* script) {
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string inner =
        path.empty() ? command->get_name() : absl::StrCat(path, " ", command->get_name());
    absl::StrAppend(script, "    '", inner, "') words='", WordsAfter(*command), "' ;;\n");
    AppendCases(*command, inner, script);
  }
}

std::string BashCompletion(const CLI::App& root) {
  std::string cases;
  AppendCases(root, "", &cases);
  return absl::StrCat(
      "# bash completion for distillery; use it with: source <(distillery completion bash)\n"
      "_distillery() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} path='' word words\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in -*) ;; *[!a-z-]*) ;; *) [[ \" $path\" == *' '*' '* ]] || path+=\"${path:+ "
      "}$word\" ;; esac\n"
      "  done\n"
      "  _distillery_words() {\n"
      "    case $1 in\n",
      cases, "    '') words='", WordsAfter(root),
      "' ;;\n"
      "    *) return 1 ;;\n"
      "    esac\n"
      "  }\n"
      "  _distillery_words \"$path\" || _distillery_words \"${path%% *}\" || words=''\n"
      "  if [[ $current == -* || -z $path || $words != -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  fi\n"
      "  [[ ${#COMPREPLY[@]} -gt 0 || $current == -* ]] || COMPREPLY=($(compgen -f -- "
      "\"$current\"))\n"
      "}\n"
      "complete -o filenames -F _distillery distillery\n");
}

class CompletionCommand : public Command {
 public:
  explicit CompletionCommand(CLI::App* parent)
      : Command(parent, "completion", "Print a script that completes commands and flags.",
                "  source <(distillery completion bash)"),
        parent_(parent) {
    app_->add_option("shell", shell_, "bash")->required()->check(CLI::IsMember({"bash"}));
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }
  absl::Status Run() override {
    std::fputs(BashCompletion(*parent_).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  const CLI::App* const parent_;
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletionCommand(CLI::App* parent) {
  return std::make_unique<CompletionCommand>(parent);
}

}  // namespace distillery
