#include "common/model/residual_plan.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr int64_t kStemChannels = 16;
constexpr int64_t kSmallestSide = 8;
constexpr int64_t kLargestWidth = 20;

// Depths are 6n + offset.
struct ResidualFamily {
  int64_t offset = 0;
  int64_t shallowest = 0;
  int64_t deepest = 0;

  bool Has(int64_t depth) const {
    return depth >= shallowest && depth <= deepest && (depth - offset) % 6 == 0;
  }
  int64_t Nearest(int64_t depth) const {
    const int64_t within = std::clamp(depth, shallowest, deepest);
    return offset + (within - offset + 3) / 6 * 6;
  }
};
constexpr ResidualFamily kResnet{2, 8, 110};
constexpr ResidualFamily kWide{4, 10, 100};

// A number of 1 to 4 digits as a person writes it, or -1.
int64_t ParseNumber(absl::string_view text) {
  int64_t number = -1;
  const bool plain = !text.empty() && text.size() <= 4 && text[0] != '0' &&
                     std::all_of(text.begin(), text.end(), [](char c) {
                       return absl::ascii_isdigit(static_cast<unsigned char>(c));
                     });
  return plain && absl::SimpleAtoi(text, &number) ? number : -1;
}

absl::Status NoSuchSize(const std::string& name, const std::string& nearest,
                        absl::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown architecture \"", Printable(name), "\"; did you mean \"", nearest, "\"? ", rule,
      "; known: ", absl::StrJoin(ResnetNames(), ", "), ", ", absl::StrJoin(WideNames(), ", ")));
}

// The sizes of the data's images.
absl::StatusOr<ImageShape> CheckImages(const std::string& name, const SampleSpec& spec) {
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape input, ImageInput(name, spec));
  if (std::min(input.height, input.width) >= kSmallestSide) return input;
  return absl::InvalidArgumentError(absl::StrCat(name,
                                                 " needs images of at least 8 x 8, the data has ",
                                                 absl::StrJoin(input.ToVector(), " x ")));
}

// [batch, in, h, w] -> [batch, out, h / stride, w / stride]; ReLU comes last.
void AddBasicBlock(PlanBuilder& plan, const std::string& name, int64_t in, int64_t out,
                   int64_t stride) {
  plan.Fork("y");
  plan.ResidualConvolution(name + ".conv1", in, out, 3, stride);
  plan.BatchNorm(name + ".bn1", out);
  plan.Relu();
  plan.ResidualConvolution(name + ".conv2", out, out, 3, 1);
  plan.BatchNorm(name + ".bn2", out);
  plan.Return();
  if (stride != 1 || in != out) {
    plan.ResidualConvolution(name + ".downsample.0", in, out, 1, stride);
    plan.BatchNorm(name + ".downsample.1", out);
  }
  plan.Add("y");
  plan.Relu();
}

// The same with BatchNorm and ReLU before each convolution. A shortcut that changes the shape
// starts behind the first of them.
void AddWideBlock(PlanBuilder& plan, const std::string& name, int64_t in, int64_t out,
                  int64_t stride, double dropout) {
  const bool same_shape = in == out && stride == 1;
  if (same_shape) plan.Fork("y");
  plan.BatchNorm(name + ".bn1", in);
  plan.Relu();
  if (!same_shape) plan.Fork("y");
  plan.ResidualConvolution(name + ".conv1", in, out, 3, stride);
  plan.BatchNorm(name + ".bn2", out);
  plan.Relu();
  plan.Dropout(dropout);
  plan.ResidualConvolution(name + ".conv2", out, out, 3, 1);
  plan.Return();
  if (!same_shape) plan.ResidualConvolution(name + ".convShortcut", in, out, 1, stride);
  plan.Add("y");
}

std::vector<Layer> ResnetLayers(int64_t depth, const ArchitectureOptions& options,
                                const ImageShape& input, int64_t class_count) {
  PlanBuilder plan;
  plan.Dropout(options.input_dropout);
  plan.ResidualConvolution("conv1", input.channels, kStemChannels, 3, 1);
  plan.BatchNorm("bn1", kStemChannels);
  plan.Relu();
  int64_t channels = kStemChannels;
  for (int64_t stage = 1; stage <= 3; ++stage) {
    const int64_t out = kStemChannels << (stage - 1);
    for (int64_t block = 0; block < (depth - kResnet.offset) / 6; ++block) {
      AddBasicBlock(plan, absl::StrCat("layer", stage, ".", block), channels, out,
                    /*stride=*/stage > 1 && block == 0 ? 2 : 1);
      channels = out;
    }
  }
  plan.GlobalAveragePool();
  plan.Flatten();
  plan.Linear("fc", channels, class_count);
  return plan.Finish();
}

std::vector<Layer> WideLayers(int64_t depth, int64_t width, const ArchitectureOptions& options,
                              const ImageShape& input, int64_t class_count) {
  PlanBuilder plan;
  plan.Dropout(options.input_dropout);
  plan.ResidualConvolution("conv1", input.channels, kStemChannels, 3, 1);
  int64_t channels = kStemChannels;
  for (int64_t stage = 1; stage <= 3; ++stage) {
    const int64_t out = width * kStemChannels << (stage - 1);
    for (int64_t block = 0; block < (depth - kWide.offset) / 6; ++block) {
      AddWideBlock(plan, absl::StrCat("block", stage, ".layer.", block), channels, out,
                   /*stride=*/stage > 1 && block == 0 ? 2 : 1, options.dropout);
      channels = out;
    }
  }
  plan.BatchNorm("bn1", channels);
  plan.Relu();
  plan.GlobalAveragePool();
  plan.Flatten();
  plan.Linear("fc", channels, class_count);
  return plan.Finish();
}

}  // namespace

const std::vector<std::string>& ResnetNames() {
  static const auto* const names = new std::vector<std::string>{
      "resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"};
  return *names;
}

const std::vector<std::string>& WideNames() {
  static const auto* const names = new std::vector<std::string>{"wrn-D-W"};
  return *names;
}

absl::StatusOr<std::vector<Layer>> PlanResnet(const std::string& name,
                                              const ArchitectureOptions& options,
                                              const SampleSpec& spec, int64_t answers) {
  const int64_t depth = ParseNumber(absl::string_view(name).substr(6));
  if (!kResnet.Has(depth)) {
    return NoSuchSize(name, absl::StrCat("resnet", kResnet.Nearest(depth)),
                      "N of resnetN is 6n + 2, 8 to 110");
  }
  if (options.dropout > 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has no dropout; wrn-D-W,dropout=P has"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape input, CheckImages(name, spec));
  return ResnetLayers(depth, options, input, answers);
}

absl::StatusOr<std::vector<Layer>> PlanWide(const std::string& name,
                                            const ArchitectureOptions& options,
                                            const SampleSpec& spec, int64_t answers) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '-');
  const int64_t depth = ParseNumber(parts[1]);
  const int64_t width = parts.size() == 3 ? ParseNumber(parts[2]) : -1;
  if (!kWide.Has(depth) || width < 1 || width > kLargestWidth) {
    return NoSuchSize(name,
                      absl::StrCat("wrn-", kWide.Nearest(depth), "-",
                                   std::clamp<int64_t>(width, 1, kLargestWidth)),
                      "D of wrn-D-W is 6n + 4, 10 to 100, and W 1 to 20");
  }
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape input, CheckImages(name, spec));
  return WideLayers(depth, width, options, input, answers);
}

}  // namespace distillery
