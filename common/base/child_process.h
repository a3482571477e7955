// A program started by this one, which ends when this one does.
//
// Threads: an object belongs to one thread, and that thread must outlive the child: Linux signals
// the child when the thread that started it ends.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace distillery {

class ChildProcess {
 public:
  struct Options {
    // arguments[0] is the program: a path.
    std::vector<std::string> arguments;
    // Set on top of this process's environment.
    std::vector<std::pair<std::string, std::string>> environment;
    // Standard output and error are appended here; empty: inherited.
    std::string log_path;
    // A group of its own: Ctrl-C at the terminal then reaches this process alone.
    bool own_group = false;
    // Sent when this process ends.
    int death_signal = 9;
  };

  // UNAVAILABLE if the process cannot be made, NOT_FOUND if there is no such program.
  static absl::StatusOr<ChildProcess> Start(const Options& options);
  ChildProcess(ChildProcess&& other) noexcept : process_(std::exchange(other.process_, -1)) {}
  ChildProcess& operator=(ChildProcess&& other) noexcept {
    std::swap(process_, other.process_);
    return *this;
  }
  // Kills it if it runs.
  ~ChildProcess();

  pid_t id() const { return process_; }
  // How it ended, such as "exit code 1" or "signal 9"; empty while it runs.
  struct End {
    int exit_code = -1;
    int signal = 0;
    std::string ToString() const;
  };
  std::optional<End> Poll();
  void Signal(int number);
  // Waits up to `timeout`; then kills it.
  void WaitOrKill(absl::Duration timeout);

 private:
  explicit ChildProcess(pid_t process) : process_(process) {}
  // -1: ended and waited for.
  pid_t process_ = -1;
};

// The folder of the running program: its sister programs are there.
std::string ProgramFolder();

}  // namespace distillery
