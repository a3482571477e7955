#include "common/base/command_line.h"

#include <gmock/gmock.h>

#include <optional>

namespace distillery {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    line_.Add("--seeds", seeds_, "students of each kind").Between(1, 100).ShowDefault();
    line_.Add("--scale", scale_).OneOf({"quick", "paper"});
    line_.Add("--hosts", hosts_).Delimiter(',');
    line_.Add("--quiet", quiet_);
    inspect_ = line_.AddCommand("inspect", "look at a file");
    inspect_.Add("file", file_).Required();
    inspect_.Add("--rate", rate_);
  }

  // The exit code; what was printed to standard error goes to `printed_`.
  int Parse(std::vector<std::string> words) {
    words.insert(words.begin(), "program");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    const int code = line_.Parse(static_cast<int>(argv.size()), argv.data());
    help_ = testing::internal::GetCapturedStdout();
    printed_ = testing::internal::GetCapturedStderr();
    return code;
  }

  CommandLine line_{"Tries things.", "program"};
  CommandLine inspect_;
  int64_t seeds_ = 3;
  std::string scale_ = "quick";
  std::vector<std::string> hosts_;
  bool quiet_ = false;
  std::string file_;
  std::optional<double> rate_;
  std::string help_;
  std::string printed_;
};

TEST_F(CommandLineTest, FlagsSetTheirTargets) {
  EXPECT_EQ(Parse({"--seeds", "5", "--hosts", "a,b", "--quiet"}), -1);
  EXPECT_EQ(seeds_, 5);
  EXPECT_THAT(hosts_, ElementsAre("a", "b"));
  EXPECT_TRUE(quiet_);
  EXPECT_EQ(scale_, "quick");
  EXPECT_TRUE(line_.Find("--seeds").given());
  EXPECT_FALSE(line_.Find("--scale").given());
  EXPECT_FALSE(inspect_.parsed());
}

TEST_F(CommandLineTest, ACommandHasFlagsOfItsOwn) {
  EXPECT_EQ(Parse({"inspect", "a.pt", "--rate", "0.5"}), -1);
  EXPECT_TRUE(inspect_.parsed());
  EXPECT_EQ(file_, "a.pt");
  EXPECT_EQ(rate_, 0.5);
  EXPECT_FALSE(CommandLine().parsed());
}

TEST_F(CommandLineTest, WhatIsMisspeltIsRefusedWithTheNearest) {
  EXPECT_EQ(Parse({"--sedes", "5"}), kExitWrongUsage);
  EXPECT_EQ(printed_, "program: unknown flag --sedes; did you mean --seeds?\n");
  EXPECT_EQ(Parse({"inspekt"}), kExitWrongUsage);
  EXPECT_THAT(printed_, HasSubstr("did you mean \"inspect\"?"));
  // Rather than that the file is missing.
  EXPECT_EQ(Parse({"inspect", "--raet=1"}), kExitWrongUsage);
  EXPECT_THAT(printed_, HasSubstr("unknown flag --raet; did you mean --rate?"));
}

TEST_F(CommandLineTest, ValuesAreChecked) {
  EXPECT_EQ(Parse({"--seeds", "101"}), kExitWrongUsage);
  EXPECT_THAT(printed_, HasSubstr("not in range 1 to 100"));
  EXPECT_EQ(Parse({"--scale", "huge"}), kExitWrongUsage);
  EXPECT_THAT(printed_, HasSubstr("huge"));
  EXPECT_EQ(Parse({"inspect"}), kExitWrongUsage);
  EXPECT_THAT(printed_, HasSubstr("file is required"));
}

TEST_F(CommandLineTest, HelpIsNoFailureAndShowsDefaults) {
  EXPECT_EQ(Parse({"--help"}), kExitDone);
  EXPECT_THAT(help_, HasSubstr("students of each kind"));
  EXPECT_THAT(help_, HasSubstr("=3"));
}

TEST_F(CommandLineTest, ToolsSeeCommandsAndFlags) {
  ASSERT_EQ(line_.commands().size(), 1);
  EXPECT_EQ(line_.commands()[0].name(), "inspect");
  EXPECT_THAT(line_.commands()[0].long_flags(), Contains("--rate"));
  EXPECT_THAT(line_.long_flags(), Contains("--seeds"));
}

}  // namespace
}  // namespace distillery
