#include "common/base/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/files.h"

namespace distillery {
namespace {

// Between fork and exec: only async-signal-safe calls, since other threads may hold locks.
[[noreturn]] void BecomeChild(const ChildProcess::Options& options, char* const* arguments,
                              char* const* environment, int log, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, options.death_signal);
  if (getppid() != parent) _exit(127);  // the parent ended before prctl
  if (options.own_group) setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (log >= 0) {
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
  }
  execve(arguments[0], arguments, environment);
  _exit(127);
}

// This process's environment with `changes` on top, as "NAME=value".
std::vector<std::string> MergedEnvironment(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    bool changed = false;
    for (const auto& change : changes) changed = changed || change.first == name;
    if (!changed) merged.push_back(text);
  }
  for (const auto& [name, value] : changes) merged.push_back(absl::StrCat(name, "=", value));
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const Options& options) {
  const std::string& program = options.arguments.front();
  if (access(program.c_str(), X_OK) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot start ", program));
  }
  int log = -1;
  if (!options.log_path.empty()) {
    log = open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", options.log_path));
  }
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = MergedEnvironment(options.environment);
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const pid_t parent = getpid();
  const pid_t process = fork();
  if (process == 0) {
    BecomeChild(options, argument_pointers.data(), environment_pointers.data(), log, parent);
  }
  const int error = errno;
  if (log >= 0) close(log);
  if (process < 0) return ErrnoStatus(error, absl::StrCat("cannot start ", program));
  return ChildProcess(process);
}

ChildProcess::~ChildProcess() {
  if (process_ > 0) WaitOrKill(absl::ZeroDuration());
}

std::string ChildProcess::End::ToString() const {
  return signal != 0 ? absl::StrCat("signal ", signal) : absl::StrCat("exit code ", exit_code);
}

std::optional<ChildProcess::End> ChildProcess::Poll() {
  int status = 0;
  if (process_ <= 0 || waitpid(process_, &status, WNOHANG) != process_) return std::nullopt;
  process_ = -1;
  End end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  return end;
}

void ChildProcess::Signal(int number) {
  if (process_ > 0) kill(process_, number);
}

void ChildProcess::WaitOrKill(absl::Duration timeout) {
  const absl::Duration deadline = SteadyNow() + timeout;
  while (process_ > 0 && SteadyNow() < deadline) {
    if (Poll().has_value()) return;
    absl::SleepFor(absl::Milliseconds(10));
  }
  if (process_ <= 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  process_ = -1;
}

std::string ProgramFolder() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  return size <= 0 ? "." : FolderOf(std::string(path, static_cast<size_t>(size)));
}

}  // namespace distillery
