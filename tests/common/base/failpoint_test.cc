#include "common/base/failpoint.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

void Pass(int times) {
  for (int i = 0; i < times; ++i) DISTILLERY_FAILPOINT("coordinator.spool.renamed");
}

TEST(Failpoint, KillsAtTheHitThatWasNamedAndNotesItFirst) {
  const TemporaryFolder folder;
  const std::string log = folder.File("log");
  const pid_t child = fork();
  if (child == 0) {
    if (!ArmFailpoints("coordinator.spool.renamed=kill@3", log).ok()) _exit(1);
    Pass(2);
    if (FileExists(log)) _exit(2);
    Pass(1);
    _exit(3);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(*ReadFile(log, 1000), absl::StrCat("coordinator.spool.renamed kill ", child, " 3\n"));
}

TEST(Failpoint, StopsOnceAndGoesOnWhenItIsTold) {
  const pid_t child = fork();
  if (child == 0) {
    if (!ArmFailpoints("files.renamed=kill@2,coordinator.spool.renamed=stop", "").ok()) _exit(1);
    Pass(3);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status)) << WEXITSTATUS(status);
  kill(child, SIGCONT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Failpoint, SleepsFromTheHitThatWasNamedOnUntilItIsDisarmed) {
  const auto took = [](int times) {
    const absl::Duration began = SteadyNow();
    Pass(times);
    return SteadyNow() - began;
  };
  const TemporaryFolder folder;
  ASSERT_THAT(ArmFailpoints("coordinator.spool.renamed=sleep:300@2", folder.File("log")), IsOk());
  EXPECT_LT(took(1), absl::Milliseconds(300));
  EXPECT_GE(took(2), absl::Milliseconds(600));
  EXPECT_FALSE(FileExists(folder.File("log"))) << "a driver takes each line for a process to tend";
  DisarmFailpoints();
  EXPECT_LT(took(2), absl::Milliseconds(600));
}

TEST(Failpoint, WhatIsNotKnownIsRefusedAndArmsNothing) {
  const auto refused = [](const std::string& text, const std::string& reason) {
    EXPECT_THAT(ArmFailpoints(text, ""),
                StatusIs(kInvalid, AllOf(HasSubstr("DISTILLERY_FAILPOINTS"), HasSubstr(reason))))
        << text;
  };
  refused("coordinator.spool.renamd=kill", "did you mean \"coordinator.spool.renamed\"?");
  refused("nowhere=kill", "unknown failpoint \"nowhere\"");
  refused("files.renamed=explode", "write NAME=kill or NAME=stop");
  refused("files.renamed", "write NAME=kill or NAME=stop");
  refused("files.renamed=", "write NAME=kill or NAME=stop");
  for (const char* const millis : {"", ":", ":x", ":0", ":-5", ":1.5"}) {
    refused(absl::StrCat("files.renamed=sleep", millis), "NAME=sleep:MILLISECONDS");
  }
  for (const char* const hit : {"0", "-1", "x", "", "1.5", "99999999999999999999"}) {
    refused(absl::StrCat("files.renamed=kill@", hit), "@HIT from 1");
  }
  refused("files.renamed=kill,", "unknown failpoint");
  refused("files.renamed=kill,files.renamed=stop", "files.renamed is given twice");
  EXPECT_FALSE(failpoint_internal::armed.load());
  EXPECT_THAT(ArmFailpoints("", ""), IsOk());
  EXPECT_FALSE(failpoint_internal::armed.load());
  Pass(1);
}

TEST(Failpoint, NamesAreUnique) {
  const std::set<std::string_view> names(std::begin(kFailpoints), std::end(kFailpoints));
  EXPECT_EQ(names.size(), std::size(kFailpoints));
}

}  // namespace
}  // namespace distillery
