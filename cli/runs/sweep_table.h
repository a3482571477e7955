// The runs of a sweep beside each other: what differs in their specs, and what came of it.
#pragma once

#include <string>
#include <vector>

#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// A line per run, the most accurate first, those without an evaluation last.
std::string FormatSweep(std::vector<v1::Run> runs);
std::string SweepToJson(std::vector<v1::Run> runs);

}  // namespace distillery
