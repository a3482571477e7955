#include "common/model/unet_plan.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr int64_t kMostUnetChannels = 1024;
constexpr int64_t kFewestLevels = 2;
constexpr int64_t kMostLevels = 3;

// [batch, in, h, w] -> [batch, out, h, w]
void AddConvolutions(PlanBuilder& plan, const std::string& name, int64_t in, int64_t out) {
  for (int64_t i = 1; i <= 2; ++i) {
    plan.ResidualConvolution(absl::StrCat(name, ".conv", i), i == 1 ? in : out, out, 3, 1);
    plan.BatchNorm(absl::StrCat(name, ".bn", i), out);
    plan.Relu();
  }
}

absl::Status CheckPixels(const std::string& name, const SampleSpec& spec, const ImageShape& image,
                         int64_t levels) {
  if (spec.answer.positions != std::vector<int64_t>{image.height, image.width}) {
    return absl::InvalidArgumentError(absl::StrCat(name, " gives an answer at each pixel, [",
                                                   image.height, ", ", image.width,
                                                   "], the data has ", spec.ToString()));
  }
  const int64_t factor = int64_t{1} << (levels - 1);
  if (image.height % factor != 0 || image.width % factor != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " needs pictures whose height and width are multiples of ", factor,
                     ", since it halves them ", levels - 1, levels == 2 ? " time" : " times",
                     ", the data has ", absl::StrJoin(image.ToVector(), " x ")));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Layer>> PlanUnet(const std::string& name,
                                            const ArchitectureOptions& options,
                                            const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes,
                              ParseSizes(name, "unet:16 or unet:16-2",
                                         {{"CHANNELS", 1, kMostUnetChannels},
                                          {"LEVELS", kFewestLevels, kMostLevels, kMostLevels}}));
  const int64_t channels = sizes[0];
  const int64_t levels = sizes[1];
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape image, ImageInput(name, spec));
  DISTILLERY_RETURN_IF_ERROR(CheckPixels(name, spec, image, levels));
  PlanBuilder plan;
  plan.Dropout(options.input_dropout);
  int64_t in = image.channels;
  for (int64_t level = 1; level < levels; ++level) {
    const int64_t out = channels << (level - 1);
    plan.Fork(absl::StrCat("skip", level));
    AddConvolutions(plan, absl::StrCat("down", level), in, out);
    plan.Fork("x");
    plan.MaxPool();
    in = out;
  }
  AddConvolutions(plan, "bottom", in, channels << (levels - 1));
  plan.Dropout(options.dropout);
  for (int64_t level = levels - 1; level >= 1; --level) {
    const int64_t out = channels << (level - 1);
    plan.Upsample();
    plan.Concat(absl::StrCat("skip", level));
    AddConvolutions(plan, absl::StrCat("up", level), 3 * out, out);
  }
  plan.Convolution("head", channels, answers, /*kernel=*/1, /*padding=*/0);
  plan.Permute({0, 2, 3, 1});
  return plan.Finish();
}

}  // namespace distillery
