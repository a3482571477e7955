// What benchmarks of services share: a scratch folder, a server as a process of its own, CPU time.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/child_process.h"

namespace distillery {

// A folder in the temporary folder, removed with all that is in it.
class ScratchFolder {
 public:
  static absl::StatusOr<ScratchFolder> Make();
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  ~ScratchFolder();
  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// User and system time of all threads of a process that runs, in seconds.
double CpuSeconds(pid_t process);
// The same of this process, and of the calling thread.
double OwnCpuSeconds();
double ThreadCpuSeconds();

// A field of /proc/PROCESS/status that is in kB, such as "VmHWM" (the most memory that was ever
// resident), in bytes; 0 if it cannot be read.
int64_t MemoryOf(pid_t process, const std::string& field);

double Median(std::vector<double> values);
// The value below which `share` of the values are. REQUIRES: not empty.
double Percentile(std::vector<double> values, double share);

// A program of ours that serves on loopback. Threads: as ChildProcess.
class ServerProcess {
 public:
  // `arguments`: the program's path, then its flags without --address-file. Returns once it
  // listens; UNAVAILABLE with its log, which is in `folder`, if it does not.
  static absl::StatusOr<ServerProcess> Start(std::vector<std::string> arguments,
                                             const std::string& folder);
  ServerProcess(ServerProcess&&) = default;
  // Asks it to end, and kills it if it does not.
  ~ServerProcess();

  // "127.0.0.1:PORT"
  const std::string& address() const { return address_; }
  pid_t id() const { return process_.id(); }
  double cpu_seconds() const { return CpuSeconds(process_.id()); }

 private:
  explicit ServerProcess(ChildProcess process) : process_(std::move(process)) {}
  ChildProcess process_;
  std::string address_;
};

}  // namespace distillery
