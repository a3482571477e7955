#include "common/model/keyword_plan.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr int64_t kMostChannels = 1024;
constexpr int64_t kMostBlocks = 32;
constexpr int64_t kUsualBlocks = 4;
// Bands and frames of the first filter of dscnn.
constexpr int64_t kBands = 4;
constexpr int64_t kFrames = 10;
// Samples of the first filter of conv1d, and what each pooling divides by.
constexpr int64_t kSamples = 80;
constexpr int64_t kFirstStride = 4;
constexpr int64_t kPool = 4;
// One position is left of them.
constexpr int64_t kFewestSamples = kSamples + (kPool * kPool * kPool * kPool - 1) * kFirstStride;

void AddNormRelu(PlanBuilder& plan, const std::string& name, int64_t channels) {
  plan.BatchNorm(name, channels);
  plan.Relu();
}

}  // namespace

absl::StatusOr<std::vector<Layer>> PlanDscnn(const std::string& name,
                                             const ArchitectureOptions& options,
                                             const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<int64_t> sizes,
      ParseSizes(name, "dscnn:64 or dscnn:64-4",
                 {{"CHANNELS", 1, kMostChannels}, {"BLOCKS", 1, kMostBlocks, kUsualBlocks}}));
  const int64_t channels = sizes[0];
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape image, ImageInput(name, spec));
  if (image.height < kBands || image.width < kFrames) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " needs at least 4 bands x 10 frames, which its first filter covers, the data has ",
        absl::StrJoin(image.ToVector(), " x ")));
  }
  PlanBuilder plan;
  plan.Dropout(options.input_dropout);
  plan.SizedConvolution("conv", image.channels, channels, {kBands, kFrames}, {2, 2},
                        {kBands / 2 - 1, kFrames / 2 - 1});
  AddNormRelu(plan, "bn", channels);
  for (int64_t i = 0; i < sizes[1]; ++i) {
    const std::string block = absl::StrCat("blocks.", i);
    plan.DepthwiseConvolution(block + ".depthwise", channels, 3, 1);
    AddNormRelu(plan, block + ".bn1", channels);
    plan.ResidualConvolution(block + ".pointwise", channels, channels, 1, 1);
    AddNormRelu(plan, block + ".bn2", channels);
  }
  plan.GlobalAveragePool();
  plan.Flatten();
  plan.Dropout(options.dropout);
  plan.Linear("fc", channels, answers);
  return plan.Finish();
}

absl::StatusOr<std::vector<Layer>> PlanConv1d(const std::string& name,
                                              const ArchitectureOptions& options,
                                              const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseSizes(name, "conv1d:32", {{"CHANNELS", 1, kMostChannels}}));
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const SoundInput input, SoundInputOf(name, spec));
  if (input.samples < kFewestSamples) {
    return absl::InvalidArgumentError(absl::StrCat(name, " needs at least ", kFewestSamples,
                                                   " samples, the data has ",
                                                   spec.inputs[0].ToString()));
  }
  PlanBuilder plan;
  if (input.flat) {
    plan.AppendSize();
    plan.Permute({0, 2, 1});
  }
  plan.Dropout(options.input_dropout);
  int64_t in = input.channels;
  for (int64_t i = 1; i <= 4; ++i) {
    const int64_t out = i <= 2 ? sizes[0] : sizes[0] << (i - 2);
    const std::string number = absl::StrCat(i);
    if (i == 1) {
      plan.SizedConvolution("conv1", in, out, {kSamples}, {kFirstStride}, {0});
    } else {
      plan.SizedConvolution("conv" + number, in, out, {3}, {1}, {1});
    }
    AddNormRelu(plan, "bn" + number, out);
    plan.MaxPool({kPool});
    in = out;
  }
  plan.Plain(Layer::Kind::kMeanOverLength);
  plan.Dropout(options.dropout);
  plan.Linear("fc", in, answers);
  return plan.Finish();
}

}  // namespace distillery
