#include "common/model/sequence_plan.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/encoder_layer.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr int64_t kMostStates = 16384;
constexpr char kTokenLayer[] = "tokens";
constexpr char kAnswerLayer[] = "fc";

absl::StatusOr<EncoderSize> ParseTransformer(const std::string& name) {
  const std::string example = "transformer:2-4-128";
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseSizes(name, example, {kLayersRule, kHeadsRule, kWidthRule}));
  const EncoderSize parsed{sizes[0], sizes[1], sizes[2]};
  DISTILLERY_RETURN_IF_ERROR(CheckHeads(name, parsed, example));
  return parsed;
}

// What x is along its length.
struct SeriesSize {
  int64_t length = 0;
  int64_t channels = 0;
};

// Makes x [batch, length, channels]. Numbers of one size are one channel.
SeriesSize AddSeries(PlanBuilder& plan, const InputSpec& input, bool channels_last) {
  if (input.shape.size() == 1) {
    plan.AppendSize();
    return {input.shape[0], 1};
  }
  if (channels_last) return {input.shape[0], input.shape[1]};
  plan.Permute({0, 2, 1});
  return {input.shape[1], input.shape[0]};
}

}  // namespace

absl::StatusOr<std::vector<Layer>> PlanTransformer(const std::string& name,
                                                   const ArchitectureOptions& options,
                                                   const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(const EncoderSize sizes, ParseTransformer(name));
  DISTILLERY_ASSIGN_OR_RETURN(const SequenceInput sequence,
                              SequenceInputOf(name, spec, /*numbers=*/false));
  const int64_t length = sequence.input->shape[0];
  DISTILLERY_RETURN_IF_ERROR(CheckSequence(name, spec, length));
  const bool one_answer = spec.answer.positions.empty();
  if (options.causal && one_answer) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ",causal is for an answer at each token, the data has ", spec.ToString(),
                     ": leave out ,causal"));
  }
  PlanBuilder plan;
  plan.From(sequence.value);
  plan.Embedding(kTokenLayer, sequence.input->vocabulary, sizes.width);
  plan.AddPositions("positions", length, sizes.width);
  plan.Dropout(options.input_dropout);
  AddEncoder(plan, sizes, options, length, sequence.mask);
  if (one_answer) {
    plan.MeanPosition(sequence.mask);
    plan.Linear(kAnswerLayer, sizes.width, answers);
  } else {
    plan.PositionLinear(kAnswerLayer, sizes.width, answers);
  }
  return plan.Finish();
}

absl::StatusOr<std::vector<Layer>> PlanGru(const std::string& name,
                                           const ArchitectureOptions& options,
                                           const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<int64_t> sizes,
      ParseSizes(name, "gru:64 or gru:64-2",
                 {{"STATES", 1, kMostStates},
                  {kLayersRule.name, kLayersRule.least, kLayersRule.most, /*fallback=*/1}}));
  const int64_t states = sizes[0];
  DISTILLERY_ASSIGN_OR_RETURN(const SequenceInput sequence,
                              SequenceInputOf(name, spec, /*numbers=*/true));
  if (options.channels_last && sequence.input->shape.size() != 2) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ",channels_last is for float numbers [length, channels], the data has ",
                     spec.ToString(), ": leave out ,channels_last"));
  }
  PlanBuilder plan;
  plan.From(sequence.value);
  SeriesSize size{sequence.input->shape[0], states};
  if (sequence.is_tokens()) {
    plan.Embedding(kTokenLayer, sequence.input->vocabulary, states);
  } else {
    size = AddSeries(plan, *sequence.input, options.channels_last);
  }
  DISTILLERY_RETURN_IF_ERROR(CheckSequence(name, spec, size.length));
  plan.Dropout(options.input_dropout);
  for (int64_t i = 0; i < sizes[1]; ++i) {
    if (i > 0) plan.Dropout(options.dropout);
    plan.Gru("gru", i, i == 0 ? size.channels : states, states);
  }
  if (spec.answer.positions.empty()) {
    plan.LastPosition(size.length, sequence.mask);
    plan.Linear(kAnswerLayer, states, answers);
  } else {
    plan.PositionLinear(kAnswerLayer, states, answers);
  }
  return plan.Finish();
}

}  // namespace distillery
