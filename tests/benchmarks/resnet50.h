// ResNet-50 (He et al. 2015) as a teacher for benchmarks: bottleneck blocks 3, 4, 6, 3. Its first
// pooling is 2 x 2, where the paper's is 3 x 3 with overlap.
#pragma once

#include <cstdint>
#include <vector>

#include "common/model/architecture_plan.h"

namespace distillery {

std::vector<Layer> PlanResnet50(int64_t channels, int64_t classes);

}  // namespace distillery
