// The log lines written while this lives.
#pragma once

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace distillery {

// Threads: one; log lines may come from any.
class LogLines {
 public:
  LogLines() : before_(spdlog::default_logger()) {
    const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(stream_);
    sink->set_pattern("%l %v");
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
  }
  ~LogLines() { spdlog::set_default_logger(before_); }
  LogLines(const LogLines&) = delete;
  LogLines& operator=(const LogLines&) = delete;

  // "warning text". Call while nothing is being logged.
  std::vector<std::string> Of(const std::string& level) const {
    std::vector<std::string> lines;
    std::istringstream text(stream_.str());
    for (std::string line; std::getline(text, line);) {
      if (line.rfind(level + " ", 0) == 0) lines.push_back(line);
    }
    return lines;
  }

 private:
  const std::shared_ptr<spdlog::logger> before_;
  std::ostringstream stream_;
};

}  // namespace distillery
