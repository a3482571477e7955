// distillery completion: shell completion made from the commands themselves.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/commands/command.h"

namespace distillery {
namespace {

// The words that may follow `line`: its commands and long flags.
std::string WordsAfter(const CommandLine& line) {
  std::vector<std::string> words;
  for (const CommandLine& command : line.commands()) words.push_back(command.name());
  for (const std::string& flag : line.long_flags()) words.push_back(flag);
  return absl::StrJoin(words, " ");
}

// One case per command path, such as "runs compare".
void AppendCases(const CommandLine& line, const std::string& path, std::string* script) {
  for (const CommandLine& command : line.commands()) {
    const std::string inner = path.empty() ? command.name() : path + " " + command.name();
    absl::StrAppend(script, "    '", inner, "') words='", WordsAfter(command), "' ;;\n");
    AppendCases(command, inner, script);
  }
}

std::string BashCompletion(const CommandLine& root) {
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
  explicit CompletionCommand(CommandLine* parent)
      : Command(parent, "completion", "Print a script that completes commands and flags.",
                "  source <(distillery completion bash)"),
        parent_(*parent) {
    line_.Add("shell", shell_, "bash").Required().OneOf({"bash"});
  }
  absl::StatusOr<std::string> Numerics() override { return std::string(); }
  absl::Status Run() override {
    std::fputs(BashCompletion(parent_).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  const CommandLine parent_;
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletionCommand(CommandLine* parent) {
  return std::make_unique<CompletionCommand>(parent);
}

}  // namespace distillery
