// Log lines through spdlog, of a service to standard output:
//
//   text   2026-01-31 12:00:00.123 I text
//   json   {"time":"2026-01-31T12:00:00.123Z","level":"info","program":"coordinator",
//           "message":"text","run":"first-3a5c","kind":"train","round":3,"replica":0}
//
// A message is made plain text (text.h), so that it stays one line whatever a file's name holds.
// A program that answers by the log alone (a service) writes nothing else there.
//
//   LogInfo("run {}: round {} of {}", run_id, round, rounds);
//
// spdlog itself is included by logging.cc alone: its formatting, compiled in every unit that logs,
// would take a third of that unit's time.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

// fmt 9 formats an enum as its number, fmt 10 formats none. With fmt 9 an enum is refused here, so
// that what compiles with one compiles with the other, and a log line gives the enum's name.
#if FMT_VERSION < 100000
template <typename Enum>
struct fmt::formatter<Enum, char, std::enable_if_t<std::is_enum_v<Enum>>> {
  static_assert(!std::is_enum_v<Enum>, "log the enum's name");
};
#endif

namespace distillery {

struct LogOptions {
  // "debug", "info", "warning" or "error".
  std::string level = "info";
  // "text" or "json".
  std::string format = "text";
  // For a command, whose answer goes to standard output.
  bool to_standard_error = false;
};

// Sets format and level. Call once, early in main.
void ConfigureLogging(const std::string& program, const LogOptions& options);
// Lines are JSON.
bool LogsAreJson();

enum class LogLevel { kDebug, kInfo, kWarning, kError, kCritical };

// Writes a line if `level` is at least the one that was set. Any thread. Use the functions below,
// whose format is checked at compile time (fmt's syntax).
void LogFormatted(LogLevel level, fmt::string_view format, fmt::format_args arguments);

template <typename... Args>
void LogLine(LogLevel level, fmt::format_string<Args...> format, Args&&... arguments) {
  LogFormatted(level, format, fmt::make_format_args(arguments...));
}
template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... arguments) {
  LogFormatted(LogLevel::kDebug, format, fmt::make_format_args(arguments...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... arguments) {
  LogFormatted(LogLevel::kInfo, format, fmt::make_format_args(arguments...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... arguments) {
  LogFormatted(LogLevel::kWarning, format, fmt::make_format_args(arguments...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... arguments) {
  LogFormatted(LogLevel::kError, format, fmt::make_format_args(arguments...));
}
template <typename... Args>
void LogCritical(fmt::format_string<Args...> format, Args&&... arguments) {
  LogFormatted(LogLevel::kCritical, format, fmt::make_format_args(arguments...));
}

struct LogField {
  std::string name;
  std::variant<std::string, int64_t> value;
};

// What the log lines of this thread are about while this lives: fields of their JSON. Lines of text
// say it in words. Inner ones add to outer ones; of one name, the innermost counts.
//
//   const LogFields about(TaskLogFields(task));
//   LogInfo("begins");
//
// Threads: one, that which logs.
class LogFields {
 public:
  explicit LogFields(std::vector<LogField> fields);
  ~LogFields();
  LogFields(const LogFields&) = delete;
  LogFields& operator=(const LogFields&) = delete;

  const std::vector<LogField>& fields() const { return fields_; }
  const LogFields* outer() const { return outer_; }

 private:
  const std::vector<LogField> fields_;
  const LogFields* const outer_;
};

}  // namespace distillery
