#include "tests/benchmarks/server_process.h"

#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kMaxLogBytes = 1 << 20;

double ClockSeconds(clockid_t clock) {
  struct timespec now {};
  if (clock_gettime(clock, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

absl::StatusOr<ScratchFolder> ScratchFolder::Make() {
  std::string path = std::filesystem::temp_directory_path() / "distillery-benchmark-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) {
    return ErrnoStatus(errno, absl::StrCat("cannot make ", path));
  }
  return ScratchFolder(std::move(path));
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

double CpuSeconds(pid_t process) {
  clockid_t clock{};
  return clock_getcpuclockid(process, &clock) == 0 ? ClockSeconds(clock) : 0;
}

double OwnCpuSeconds() { return ClockSeconds(CLOCK_PROCESS_CPUTIME_ID); }

double ThreadCpuSeconds() { return ClockSeconds(CLOCK_THREAD_CPUTIME_ID); }

int64_t MemoryOf(pid_t process, const std::string& field) {
  std::ifstream status(absl::StrCat("/proc/", process, "/status"));
  std::string name;
  while (status >> name) {
    if (int64_t kilobytes = 0; name == field + ":" && status >> kilobytes) return kilobytes << 10;
    status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

double Median(std::vector<double> values) { return Percentile(std::move(values), 0.5); }

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const auto last = static_cast<double>(values.size() - 1);
  return values[static_cast<size_t>(std::lround(share * last))];
}

absl::StatusOr<ServerProcess> ServerProcess::Start(std::vector<std::string> arguments,
                                                   const std::string& folder) {
  constexpr absl::Duration kLongest = absl::Minutes(2);
  const std::string name = BaseName(arguments.front());
  const std::string address_file = absl::StrCat(folder, "/", name, ".address");
  DISTILLERY_RETURN_IF_ERROR(RemoveFile(address_file));
  ChildProcess::Options options;
  options.arguments = std::move(arguments);
  options.arguments.insert(options.arguments.end(), {"--address-file", address_file});
  options.log_path = absl::StrCat(folder, "/", name, ".log");
  DISTILLERY_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(options));
  ServerProcess server(std::move(child));
  const absl::Time deadline = absl::Now() + kLongest;
  while (!FileExists(address_file)) {
    const auto end = server.process_.Poll();
    if (end.has_value() || absl::Now() > deadline) {
      return absl::UnavailableError(
          absl::StrCat(name,
                       end.has_value() ? absl::StrCat(" ended with ", end->ToString())
                                       : std::string(" does not listen"),
                       ":\n", ReadFile(options.log_path, kMaxLogBytes).value_or("no log")));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::string address, ReadFile(address_file, 4096));
  server.address_ = std::string(absl::StripAsciiWhitespace(address));
  return server;
}

ServerProcess::~ServerProcess() {
  process_.Signal(SIGTERM);
  process_.WaitOrKill(absl::Seconds(8));
}

}  // namespace distillery
