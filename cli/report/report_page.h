// The report as one HTML file that needs nothing else: cli/report holds its template, style and
// scripts, which the build takes in; the results go in as one block of JSON, which the scripts
// draw.
#pragma once

#include <string>

#include "cli/report/results.h"

namespace distillery {

std::string RenderReport(const Results& results);

}  // namespace distillery
