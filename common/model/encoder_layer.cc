#include "common/model/encoder_layer.h"

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

constexpr int64_t kFeedForwardFactor = 4;

// [batch, length, width] -> the same.
void AddEncoderLayer(PlanBuilder& plan, const std::string& name, const EncoderSize& size,
                     const ArchitectureOptions& options, int64_t length, const std::string& mask) {
  const int64_t width = size.width;
  plan.Fork("y");
  plan.LayerNorm(name + ".norm1", width);
  plan.Attention(name + ".self_attn", width, size.heads, length, options.causal, mask);
  plan.Dropout(options.dropout);
  plan.Return();
  plan.Add("y");
  plan.Fork("y");
  plan.LayerNorm(name + ".norm2", width);
  plan.PositionLinear(name + ".linear1", width, kFeedForwardFactor * width);
  plan.Gelu();
  plan.Dropout(options.dropout);
  plan.PositionLinear(name + ".linear2", kFeedForwardFactor * width, width);
  plan.Dropout(options.dropout);
  plan.Return();
  plan.Add("y");
}

}  // namespace

absl::Status CheckHeads(const std::string& name, const EncoderSize& size,
                        const std::string& example) {
  if (size.width % size.heads == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, ": WIDTH must be a multiple of HEADS, got ",
                                                 size.width, " and ", size.heads, ", as in ",
                                                 example));
}

void AddEncoder(PlanBuilder& plan, const EncoderSize& size, const ArchitectureOptions& options,
                int64_t length, const std::string& mask) {
  for (int64_t i = 0; i < size.layers; ++i) {
    AddEncoderLayer(plan, absl::StrCat("encoder.layers.", i), size, options, length, mask);
  }
  plan.LayerNorm("encoder.norm", size.width);
}

}  // namespace distillery
