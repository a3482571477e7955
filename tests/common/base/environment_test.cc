#include "common/base/environment.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace distillery {
namespace {

std::string Flag(std::vector<std::string> arguments, const std::string& otherwise = "none") {
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return EarlyFlag(static_cast<int>(argv.size()), argv.data(), "numerics", otherwise);
}

TEST(EarlyFlag, ReadsBothFormsOfAFlag) {
  EXPECT_EQ(Flag({"program", "--numerics", "portable"}), "portable");
  EXPECT_EQ(Flag({"program", "--numerics=portable"}), "portable");
  EXPECT_EQ(Flag({"program", "run", "--other", "x", "--numerics", "portable", "-v"}), "portable");
  EXPECT_EQ(Flag({"program", "--numerics="}), "");
}

TEST(EarlyFlag, GivesTheOtherValueWhereThereIsNone) {
  EXPECT_EQ(Flag({"program"}), "none");
  EXPECT_EQ(Flag({"program", "--numerics"}), "none");     // its value is missing
  EXPECT_EQ(Flag({"program", "--numericsx=1"}), "none");  // another flag
  EXPECT_EQ(Flag({"program", "-numerics", "x"}), "none");
  EXPECT_EQ(Flag({"--numerics", "x"}), "none");  // the program's own name is no flag
}

TEST(AvailableCores, IsOneOnAThreadPinnedToOneCore) {
  int pinned = 0;
  std::thread([&] {
    cpu_set_t all;
    ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
      if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    }
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    pinned = AvailableCores();
  }).join();
  EXPECT_EQ(pinned, 1);
}

TEST(AvailableCores, IsAtMostTheAffinityMask) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  EXPECT_GE(AvailableCores(), 1);
  EXPECT_LE(AvailableCores(), CPU_COUNT(&all));
}

// Runs this program's DISABLED test `probe` in a child that first calls EnsureComputeEnvironment
// with the variables given; returns its exit status.
int RunProbe(const std::string& probe, const std::string& numerics,
             const std::vector<std::pair<const char*, const char*>>& variables) {
  std::string name = "common_test";
  std::string filter = "--gtest_filter=EnvironmentProbe.DISABLED_" + probe;
  std::string disabled = "--gtest_also_run_disabled_tests";
  char* argv[] = {name.data(), filter.data(), disabled.data(), nullptr};
  const pid_t child = fork();
  if (child == 0) {
    for (const char* const ours :
         {"DISTILLERY_NUMERICS", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
          "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OPENBLAS_CORETYPE"}) {
      unsetenv(ours);
    }
    for (const auto& [variable, value] : variables) setenv(variable, value, 1);
    EnsureComputeEnvironment(numerics, argv);
    _exit(99);  // it should have started the program anew
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "(unset)" : value;
}

TEST(EnvironmentProbe, DISABLED_IsFastest) {
  EXPECT_EQ(Variable("OMP_WAIT_POLICY"), "PASSIVE");
  EXPECT_EQ(Variable("OMP_NUM_THREADS"), "1");
  EXPECT_EQ(Variable("OPENBLAS_NUM_THREADS"), "1");
  EXPECT_EQ(Variable("ATEN_CPU_CAPABILITY"), "(unset)");
  EXPECT_EQ(ProcessNumerics(), "fastest");
}

TEST(EnvironmentProbe, DISABLED_IsPortable) {
  EXPECT_EQ(Variable("ATEN_CPU_CAPABILITY"), "avx2");
  EXPECT_EQ(Variable("ONEDNN_MAX_CPU_ISA"), "AVX2");
  EXPECT_EQ(Variable("OPENBLAS_CORETYPE"), "Haswell");
  EXPECT_EQ(Variable("OMP_WAIT_POLICY"), "PASSIVE");
  EXPECT_EQ(ProcessNumerics(), "portable");
}

TEST(EnvironmentProbe, DISABLED_KeepsTheUsersChoice) {
  EXPECT_EQ(Variable("OMP_WAIT_POLICY"), "ACTIVE");
  EXPECT_EQ(Variable("OPENBLAS_NUM_THREADS"), "1");  // but this: it would change results
}

TEST(ComputeEnvironment, IsSetByStartingTheProgramAnew) {
  EXPECT_EQ(RunProbe("IsFastest", "fastest", {}), 0);
  EXPECT_EQ(RunProbe("IsPortable", "portable", {}), 0);
}

TEST(ComputeEnvironment, KeepsWhatTheUserSet) {
  EXPECT_EQ(RunProbe("KeepsTheUsersChoice", "fastest",
                     {{"OMP_WAIT_POLICY", "ACTIVE"}, {"OPENBLAS_NUM_THREADS", "3"}}),
            0);
}

TEST(ComputeEnvironment, ReplacesWhatAnotherNumericsOfOursSet) {
  EXPECT_EQ(RunProbe("IsFastest", "fastest",
                     {{"DISTILLERY_NUMERICS", "portable"}, {"ATEN_CPU_CAPABILITY", "avx2"}}),
            0);
}

TEST(ComputeEnvironment, IsLeftAloneWhereItIsRight) {
  ASSERT_EQ(setenv("DISTILLERY_NUMERICS", "portable", 1), 0);
  EnsureComputeEnvironment("portable", nullptr);  // returns: there is nothing to set
  EXPECT_EQ(ProcessNumerics(), "portable");
  ASSERT_EQ(unsetenv("DISTILLERY_NUMERICS"), 0);
  EXPECT_EQ(ProcessNumerics(), "fastest");
}

}  // namespace
}  // namespace distillery
