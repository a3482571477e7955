// Two runs side by side: what was asked differently, and what came out.
#pragma once

#include <string>

#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

std::string FormatComparison(const v1::GetRunResponse& a, const v1::GetRunResponse& b);
std::string ComparisonToJson(const v1::GetRunResponse& a, const v1::GetRunResponse& b);

}  // namespace distillery
