// Networks for what lies along a line: text, sensor readings, sound.
//
//   transformer:LAYERS-HEADS-WIDTH   encoder over tokens as torch.nn.TransformerEncoder is it, with
//             norm_first (Xiong et al. 2020: "On layer normalization in the transformer
//             architecture") and GELU: WIDTH numbers for a token, feed-forward layers of 4 WIDTH, a
//             last LayerNorm, positions learned. With `causal` no token sees a later one, as
//             language models need it; data do not say which is meant. `dropout` is that of the
//             residual branches and of their hidden layer, `input_dropout` that of the embeddings.
//   gru:STATES-LAYERS   gated recurrent units (Cho et al. 2014) as torch.nn.GRU has them, over an
//             embedding of STATES numbers for a token, or over float numbers: [channels, length],
//             [length, channels] with `channels_last`, or [samples]. `dropout` lies between
//             layers.
//
// Both answer once for a sample, a transformer from the mean over the tokens, a gru from the state
// at the last one; or at each position. An input "mask" says which tokens count: the others are
// neither looked at by tokens that count, nor in the mean, nor the last. All parameters are named
// as PyTorch's modules name them, beside `tokens`, `positions` and the last linear layer, `fc`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/sample_spec.h"
#include "common/model/plan_builder.h"

namespace distillery {

// INVALID_ARGUMENT for sizes that cannot be, or inputs or positions that do not fit, with both.
// REQUIRES: the name starts with "transformer:".
absl::StatusOr<std::vector<Layer>> PlanTransformer(const std::string& name,
                                                   const ArchitectureOptions& options,
                                                   const SampleSpec& spec, int64_t answers);
// The same. REQUIRES: the name starts with "gru:".
absl::StatusOr<std::vector<Layer>> PlanGru(const std::string& name,
                                           const ArchitectureOptions& options,
                                           const SampleSpec& spec, int64_t answers);

}  // namespace distillery
