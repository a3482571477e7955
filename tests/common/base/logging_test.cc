#include "common/base/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "common/run/task_log_fields.h"

namespace distillery {
namespace {

using nlohmann::json;

// What is written to standard output while `body` runs.
template <typename Body>
std::string Output(const LogOptions& options, Body body) {
  const auto before = spdlog::default_logger();
  testing::internal::CaptureStdout();
  ConfigureLogging("coordinator", options);
  body();
  spdlog::default_logger()->flush();
  const std::string text = testing::internal::GetCapturedStdout();
  ConfigureLogging("coordinator", {});
  spdlog::set_default_logger(before);
  return text;
}

LogOptions Json() {
  LogOptions options;
  options.format = "json";
  return options;
}

TEST(Logging, TextHasTimeLevelAndMessageAlone) {
  EXPECT_THAT(Output({},
                     [] {
                       const LogFields about(std::vector<LogField>{{"run", "a"}});
                       LogWarning("run {} waits", "a");
                     }),
              testing::MatchesRegex("[0-9-]+ [0-9:.]+ W run a waits\n"));
}

TEST(Logging, ACommandsAnswerHasNoLogLinesInIt) {
  LogOptions options;
  options.to_standard_error = true;
  testing::internal::CaptureStderr();
  EXPECT_EQ(Output(options, [] { LogWarning("late"); }), "");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("W late"));
}

TEST(Logging, JsonHasOneObjectALine) {
  const std::string text = Output(Json(), [] {
    LogInfo("a \"b\"\n\xff");
    LogDebug("not asked for");
    LogError("second");
  });
  std::istringstream lines(text);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  const json first = json::parse(line);
  EXPECT_EQ(first.size(), 4);
  EXPECT_EQ(first["level"], "info");
  EXPECT_EQ(first["program"], "coordinator");
  EXPECT_EQ(first["message"], "a \"b\"\\n\\xff");
  EXPECT_THAT(first["time"].get<std::string>(),
              testing::MatchesRegex("[0-9-]+T[0-9]+:[0-9]+:[0-9]+[.][0-9][0-9][0-9]Z"));
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(json::parse(line)["level"], "error");
  EXPECT_FALSE(std::getline(lines, line));
}

TEST(Logging, Fault56_WhateverAMessageHoldsItsLineStaysOneAndIsUtf8) {
  const std::string hostile = "a\xff\n2026-01-31 E forged\r\x1b[2J\xe6\x97";
  const std::string shown = "a\\xff\\n2026-01-31 E forged\\r\\x1b[2J\\xe6\\x97";
  EXPECT_THAT(Output({}, [&] { LogInfo("{}", hostile); }),
              testing::MatchesRegex("[0-9-]+ [0-9:.]+ I a[^\n]*\n"));
  EXPECT_THAT(Output({}, [&] { LogInfo("{}", hostile); }), testing::HasSubstr(shown));
  const std::string text = Output(Json(), [&] {
    const LogFields about(std::vector<LogField>{{"run", hostile}});
    LogInfo("{}", hostile);
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  const json line = json::parse(text);
  EXPECT_EQ(line["message"], shown);
  EXPECT_EQ(line["run"], shown);
}

TEST(Logging, FieldsAreThoseOfTheThreadAndEndWithTheirScope) {
  TaskId task;
  task.run_id = "first";
  task.round = 3;
  const std::string text = Output(Json(), [&] {
    {
      const LogFields outer(std::vector<LogField>{{"run", "outer"}, {"worker", "w"}});
      const LogFields inner(TaskLogFields(task));
      LogInfo("in");
      std::thread([] { LogInfo("elsewhere"); }).join();
    }
    LogInfo("after");
  });
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  json in = json::parse(line);
  in.erase("time");
  EXPECT_EQ(in, json({{"level", "info"},
                      {"program", "coordinator"},
                      {"message", "in"},
                      {"run", "first"},
                      {"kind", "train"},
                      {"round", 3},
                      {"replica", 0},
                      {"worker", "w"}}));
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line).size(), 4) << line;
  std::getline(lines, line);
  EXPECT_EQ(json::parse(line).size(), 4) << line;
}

}  // namespace
}  // namespace distillery
