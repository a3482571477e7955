// Linked into the programs that always compute: does before the constructors of the shared
// libraries what EnsureComputeEnvironment does first thing in main. LibTorch's take a second to
// register operators, in vain where the program then starts anew.
//
// Functions of DT_PREINIT_ARRAY run after relocation and before any constructor (System V gABI,
// "Initialization and Termination Functions"): nothing here may need the C++ library or getenv.
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <iterator>

#include "common/base/compute_variables.h"

namespace distillery {
namespace {

bool IsOf(const char* entry, const char* name) {
  const size_t length = std::strlen(name);
  return std::strncmp(entry, name, length) == 0 && entry[length] == '=';
}

bool IsSet(char* const* environment, const char* name) {
  for (; *environment != nullptr; ++environment) {
    if (IsOf(*environment, name)) return true;
  }
  return false;
}

bool IsReplaced(const char* entry) {
  for (const ComputeVariable& variable : kComputeVariables) {
    if (variable.replaces && IsOf(entry, variable.name)) return true;
  }
  return false;
}

// Where this returns, main does it.
void StartAnewEarly(int argc, char** argv, char** environment) {
  if (IsSet(environment, kNumericsVariable)) return;
  // Other numerics need more variables.
  for (int i = 1; i < argc; ++i) {
    if (std::strstr(argv[i], "portable") != nullptr) return;
  }
  const char* anew[4096];
  size_t count = 0;
  for (const ComputeVariable& variable : kComputeVariables) {
    if (variable.replaces || !IsSet(environment, variable.name)) anew[count++] = variable.entry;
  }
  anew[count++] = kFastestEntry;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    if (IsReplaced(*entry)) continue;
    if (count + 1 == std::size(anew)) return;
    anew[count++] = *entry;
  }
  anew[count] = nullptr;
  execve("/proc/self/exe", argv, const_cast<char**>(anew));
}

__attribute__((section(".preinit_array"), used)) void (*const at_start)(int, char**,
                                                                        char**) = StartAnewEarly;

}  // namespace
}  // namespace distillery
