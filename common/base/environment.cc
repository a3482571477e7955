#include "common/base/environment.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "common/base/compute_variables.h"

namespace distillery {

int AvailableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = std::max(1, CPU_COUNT(&set));
  // cgroup v2: "max 100000" or "150000 100000", quota and period in microseconds.
  std::ifstream limit("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (limit >> quota >> period && quota != "max" && period > 0) {
    const double allowed = std::strtod(quota.c_str(), nullptr) / period;
    cores = std::min(cores, std::max(1, static_cast<int>(std::ceil(allowed))));
  }
  return cores;
}

int64_t AvailableMemoryBytes() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_bytes <= 0) return 0;
  int64_t bytes = pages * page_bytes;
  // cgroup v2: "max" or a number of bytes.
  std::ifstream limit("/sys/fs/cgroup/memory.max");
  int64_t allowed = 0;
  if (limit >> allowed && allowed > 0) bytes = std::min(bytes, allowed);
  return bytes;
}

void EnsureComputeEnvironment(const std::string& numerics, char** argv) {
  const char* const marker = std::getenv(kNumericsVariable);
  if (marker != nullptr && numerics == marker) return;
  // What the user set stays; what another numerics setting of ours set is taken back.
  const bool portable = numerics == "portable";
  for (const auto& [name, value] :
       {std::pair<const char*, const char*>{"ATEN_CPU_CAPABILITY", "avx2"},
        {"ONEDNN_MAX_CPU_ISA", "AVX2"},
        {"DNNL_MAX_CPU_ISA", "AVX2"},
        {"OPENBLAS_CORETYPE", "Haswell"}}) {
    if (portable) {
      setenv(name, value, 1);
    } else if (marker != nullptr) {
      unsetenv(name);
    }
  }
  for (const ComputeVariable& variable : kComputeVariables) {
    const char* const value = variable.entry + std::strlen(variable.name) + 1;
    setenv(variable.name, value, variable.replaces ? 1 : 0);
  }
  setenv(kNumericsVariable, numerics.c_str(), 1);
  execv("/proc/self/exe", argv);
  std::fprintf(stderr, "cannot start anew with the compute environment: %s; going on without\n",
               std::strerror(errno));
}

std::string ProcessNumerics() {
  const char* const marker = std::getenv(kNumericsVariable);
  return marker == nullptr ? "fastest" : marker;
}

std::string EarlyFlag(int argc, char** argv, const std::string& name,
                      const std::string& otherwise) {
  const std::string flag = "--" + name;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == flag && i + 1 < argc) return argv[i + 1];
    if (argument.rfind(flag + "=", 0) == 0) return argument.substr(flag.size() + 1);
  }
  return otherwise;
}

}  // namespace distillery
