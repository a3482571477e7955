// The layers of a transformer's encoder, with norms first (Vaswani et al. 2017; Xiong et al. 2020),
// GELU and feed-forward layers of four widths. Names of parameters are those of
// torch.nn.TransformerEncoder.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/model/plan_builder.h"
#include "common/model/plan_checks.h"

namespace distillery {

struct EncoderSize {
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t width = 0;
};

// What names may say of it, for ParseSizes.
inline constexpr SizeRule kLayersRule{"LAYERS", 1, 64};
inline constexpr SizeRule kHeadsRule{"HEADS", 1, 128};
inline constexpr SizeRule kWidthRule{"WIDTH", 1, 16384};

// INVALID_ARGUMENT, with the example, unless the heads share the width equally.
absl::Status CheckHeads(const std::string& name, const EncoderSize& size,
                        const std::string& example);

// "encoder.layers.N" and "encoder.norm": [batch, length, width] -> the same. `mask` as in Layer.
void AddEncoder(PlanBuilder& plan, const EncoderSize& size, const ArchitectureOptions& options,
                int64_t length, const std::string& mask);

}  // namespace distillery
