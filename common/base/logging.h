// Log lines through spdlog: to standard error, "2026-01-31 12:00:00.123 I text".
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "absl/strings/string_view.h"

namespace distillery {

// Sets pattern and level ("debug", "info", "warning", "error"). Call once, early in main.
inline void ConfigureLogging(const std::string& level = "info") {
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %L %v");
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::info);
}

}  // namespace distillery
