#include "common/rpc/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "common/rpc/metric_list.h"

namespace distillery {
namespace {

// The value of a line such as "btime 1700000000", 0 if there is none.
double BootUnixSeconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  double value = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (words >> name >> value && name == "btime") return value;
  }
  return 0;
}

// Fields of /proc/self/stat from the third, the state, on: the second, the program's name, may hold
// anything.
std::vector<std::string> StatFields() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  std::istringstream words(line.substr(line.rfind(')') + 1));
  std::vector<std::string> fields;
  for (std::string word; words >> word;) fields.push_back(word);
  return fields;
}

}  // namespace

std::vector<prometheus::MetricFamily> CollectProcessMetrics() {
  MetricList list("process_");
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    const auto seconds = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    list.Counter("cpu_seconds_total", "Seconds of user and system time.",
                 seconds(usage.ru_utime) + seconds(usage.ru_stime));
  }
  // By proc(5), counted from 1: 20 threads, 22 start in clock ticks since the boot, 24 resident
  // pages.
  const std::vector<std::string> fields = StatFields();
  double threads = 0;
  double start_ticks = 0;
  double pages = 0;
  if (fields.size() > 21 && absl::SimpleAtod(fields[17], &threads) &&
      absl::SimpleAtod(fields[19], &start_ticks) && absl::SimpleAtod(fields[21], &pages)) {
    list.Gauge("resident_memory_bytes", "Resident memory.",
               pages * static_cast<double>(sysconf(_SC_PAGESIZE)));
    list.Gauge("threads", "Threads.", threads);
    list.Gauge("start_time_seconds", "When the process began, in seconds since 1970 UTC.",
               BootUnixSeconds() + start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
  std::error_code error;
  int64_t descriptors = -1;  // that of the iterator itself
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    ++descriptors;
  }
  if (!error) list.Gauge("open_fds", "Open file descriptors.", static_cast<double>(descriptors));
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    list.Gauge("max_fds", "Most file descriptors that may be open.",
               static_cast<double>(limit.rlim_cur));
  }
  return list.Take();
}

}  // namespace distillery
