#include "common/base/logging.h"

#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/time/time.h"
#include "common/base/text.h"

namespace distillery {
namespace {

std::atomic<bool> json_lines{false};
thread_local const LogFields* innermost = nullptr;

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kCritical:
      break;
  }
  return spdlog::level::critical;
}

// The message of a line, for its pattern: whatever it holds, the line stays one.
class PlainMessage final : public spdlog::custom_flag_formatter {
 public:
  static constexpr char kFlag = '*';

  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& line) override {
    const std::string text =
        PlainText(absl::string_view(message.payload.data(), message.payload.size()));
    line.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<PlainMessage>();
  }
};

// Formats in the thread that logs: spdlog's loggers of ours are synchronous.
class JsonFormatter final : public spdlog::formatter {
 public:
  explicit JsonFormatter(std::string program) : program_(std::move(program)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const auto level = spdlog::level::to_string_view(message.level);
    nlohmann::ordered_json json = {
        {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(message.time),
                                  absl::UTCTimeZone())},
        {"level", std::string(level.data(), level.size())},
        {"program", program_},
        {"message", PlainText(absl::string_view(message.payload.data(), message.payload.size()))}};
    for (const LogFields* about = innermost; about != nullptr; about = about->outer()) {
      for (const LogField& field : about->fields()) {
        if (json.contains(field.name)) continue;
        if (const auto* const text = std::get_if<std::string>(&field.value)) {
          json[field.name] = PlainText(*text);
        } else {
          json[field.name] = std::get<int64_t>(field.value);
        }
      }
    }
    const std::string text = json.dump() + "\n";
    line.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(program_);
  }

 private:
  const std::string program_;
};

}  // namespace

void ConfigureLogging(const std::string& program, const LogOptions& options) {
  spdlog::sink_ptr sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
  if (options.to_standard_error) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::move(sink)));
  json_lines = options.format == "json";
  if (json_lines) {
    spdlog::set_formatter(std::make_unique<JsonFormatter>(program));
  } else {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<PlainMessage>(PlainMessage::kFlag)
        .set_pattern("%Y-%m-%d %H:%M:%S.%e %L %*");
    spdlog::set_formatter(std::move(formatter));
  }
  spdlog::set_level(spdlog::level::from_str(options.level));
  // Each line at once: a process that is killed loses none.
  spdlog::flush_on(spdlog::get_level());
}

void LogFormatted(LogLevel level, fmt::string_view format, fmt::format_args arguments) {
  spdlog::logger* const logger = spdlog::default_logger_raw();
  const spdlog::level::level_enum spdlog_level = SpdlogLevel(level);
  if (logger->should_log(spdlog_level)) logger->log(spdlog_level, fmt::vformat(format, arguments));
}

bool LogsAreJson() { return json_lines; }

LogFields::LogFields(std::vector<LogField> fields)
    : fields_(std::move(fields)), outer_(std::exchange(innermost, this)) {}

LogFields::~LogFields() { innermost = outer_; }

}  // namespace distillery
