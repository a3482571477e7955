#include "common/model/mobilenet_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr char kPlainName[] = "mobilenetv2";
constexpr int64_t kLeastSide = 8;
constexpr int64_t kFirstChannels = 32;
constexpr int64_t kLastChannels = 1280;

// Table 2 of the paper: `blocks` with `channels`, which are `expansion` times as many inside; the
// first block of them has the stride.
struct Stage {
  int64_t expansion;
  int64_t channels;
  int64_t blocks;
  int64_t stride;
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 1},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};

// So many percent, as the nearest multiple of 8 that is at least nine tenths of them.
int64_t ScaledChannels(int64_t channels, int64_t percent) {
  constexpr int64_t kStep = 8;
  const int64_t hundredths = channels * percent;
  const int64_t nearest = (hundredths + 100 * kStep / 2) / (100 * kStep) * kStep;
  const int64_t rounded = std::max(kStep, nearest);
  return rounded * 1000 < hundredths * 9 ? rounded + kStep : rounded;
}

void AddNormRelu6(PlanBuilder& plan, const std::string& name, int64_t channels) {
  plan.BatchNorm(name, channels);
  plan.Plain(Layer::Kind::kRelu6);
}

// [batch, in, h, w] -> [batch, out, h / stride, w / stride]
void AddInvertedResidual(PlanBuilder& plan, const std::string& name, const Stage& stage, int64_t in,
                         int64_t out, int64_t stride) {
  const bool residual = in == out && stride == 1;
  const int64_t inside = in * stage.expansion;
  if (residual) plan.Fork("y");
  int64_t number = 0;
  if (stage.expansion > 1) {
    plan.ResidualConvolution(name + ".conv.0.0", in, inside, 1, 1);
    AddNormRelu6(plan, name + ".conv.0.1", inside);
    ++number;
  }
  plan.DepthwiseConvolution(absl::StrCat(name, ".conv.", number, ".0"), inside, 3, stride);
  AddNormRelu6(plan, absl::StrCat(name, ".conv.", number, ".1"), inside);
  plan.ResidualConvolution(absl::StrCat(name, ".conv.", number + 1), inside, out, 1, 1);
  plan.BatchNorm(absl::StrCat(name, ".conv.", number + 2), out);
  if (residual) {
    plan.Return();
    plan.Add("y");
  }
}

// The percentage in the name.
absl::StatusOr<int64_t> ParsePercent(const std::string& name) {
  if (name == kPlainName) return 100;
  if (name.find(':') != sizeof(kPlainName) - 1) {
    return absl::InvalidArgumentError(
        UnknownName("architecture", name, {kPlainName, "mobilenetv2:PERCENT"}));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseSizes(name, "mobilenetv2:50", {{"PERCENT", 10, 400}}));
  return sizes[0];
}

}  // namespace

absl::StatusOr<std::vector<Layer>> PlanMobilenet(const std::string& name,
                                                 const ArchitectureOptions& options,
                                                 const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t percent, ParsePercent(name));
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape image, ImageInput(name, spec));
  if (std::min(image.height, image.width) < kLeastSide) {
    return absl::InvalidArgumentError(absl::StrCat(name,
                                                   " needs images of at least 8 x 8, the data has ",
                                                   absl::StrJoin(image.ToVector(), " x ")));
  }
  PlanBuilder plan;
  plan.Dropout(options.input_dropout);
  int64_t channels = ScaledChannels(kFirstChannels, percent);
  plan.ResidualConvolution("features.0.0", image.channels, channels, 3, 1);
  AddNormRelu6(plan, "features.0.1", channels);
  int64_t number = 1;
  for (const Stage& stage : kStages) {
    const int64_t out = ScaledChannels(stage.channels, percent);
    for (int64_t block = 0; block < stage.blocks; ++block) {
      AddInvertedResidual(plan, absl::StrCat("features.", number++), stage, channels, out,
                          block == 0 ? stage.stride : 1);
      channels = out;
    }
  }
  // A narrower network keeps the paper's last layer.
  const int64_t last = ScaledChannels(kLastChannels, std::max<int64_t>(100, percent));
  plan.ResidualConvolution(absl::StrCat("features.", number, ".0"), channels, last, 1, 1);
  AddNormRelu6(plan, absl::StrCat("features.", number, ".1"), last);
  plan.GlobalAveragePool();
  plan.Flatten();
  plan.Dropout(options.dropout);
  plan.Linear("classifier.1", last, answers);
  return plan.Finish();
}

}  // namespace distillery
