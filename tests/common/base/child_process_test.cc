#include "common/base/child_process.h"

#include <signal.h>

#include <cerrno>
#include <thread>

#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

ChildProcess::End WaitFor(ChildProcess& child) {
  while (true) {
    if (const auto end = child.Poll(); end.has_value()) return *end;
    std::this_thread::yield();
  }
}

ChildProcess::Options Shell(const std::string& script) {
  ChildProcess::Options options;
  options.arguments = {"/bin/sh", "-c", script};
  return options;
}

TEST(ChildProcess, TellsHowItEnded) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(Shell("exit 3")));
  const ChildProcess::End end = WaitFor(child);
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_EQ(end.ToString(), "exit code 3");
  EXPECT_EQ(child.Poll(), std::nullopt);
}

TEST(ChildProcess, TellsTheSignalThatEndedIt) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(Shell("exec sleep 1000")));
  EXPECT_EQ(child.Poll(), std::nullopt);
  child.Signal(SIGTERM);
  const ChildProcess::End end = WaitFor(child);
  EXPECT_EQ(end.signal, SIGTERM);
  EXPECT_EQ(end.ToString(), "signal 15");
}

TEST(ChildProcess, EndsWithItsObject) {
  pid_t id = 0;
  {
    ASSERT_OK_AND_ASSIGN(const ChildProcess child, ChildProcess::Start(Shell("exec sleep 1000")));
    id = child.id();
    ASSERT_EQ(kill(id, 0), 0);
  }
  EXPECT_EQ(kill(id, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(ChildProcess, WritesToItsLogWithItsEnvironment) {
  TemporaryFolder folder;
  ChildProcess::Options options = Shell("echo \"$DISTILLERY_A $DISTILLERY_B\"; echo error >&2");
  ASSERT_EQ(setenv("DISTILLERY_A", "inherited", 1), 0);
  ASSERT_EQ(setenv("DISTILLERY_B", "inherited", 1), 0);
  options.environment = {{"DISTILLERY_B", "changed"}};
  options.log_path = folder.File("log");
  ASSERT_OK_AND_ASSIGN(ChildProcess child, ChildProcess::Start(options));
  EXPECT_EQ(WaitFor(child).exit_code, 0);
  EXPECT_EQ(*ReadFile(options.log_path, 1000), "inherited changed\nerror\n");
}

TEST(ChildProcess, MissingProgramIsNotFound) {
  ChildProcess::Options options;
  options.arguments = {"/no/such/program"};
  EXPECT_THAT(ChildProcess::Start(options),
              StatusIs(absl::StatusCode::kNotFound, ::testing::HasSubstr("/no/such/program")));
}

TEST(ChildProcess, OneThatDoesNotEndIsKilledAfterTheWait) {
  ASSERT_OK_AND_ASSIGN(ChildProcess child,
                       ChildProcess::Start(Shell("trap '' TERM; exec sleep 1000")));
  const pid_t id = child.id();
  child.Signal(SIGTERM);
  child.WaitOrKill(absl::ZeroDuration());
  EXPECT_EQ(kill(id, 0), -1);
}

TEST(ProgramFolder, HoldsThisProgram) { EXPECT_TRUE(FileExists(ProgramFolder() + "/common_test")); }

}  // namespace
}  // namespace distillery
