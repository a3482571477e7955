// Results for a terminal: title, summary, tables and heat maps; other figures are for the report.
#pragma once

#include <string>

#include "cli/report/results.h"

namespace distillery {

std::string FormatResults(const Results& results);

}  // namespace distillery
