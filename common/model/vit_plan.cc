#include "common/model/vit_plan.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/encoder_layer.h"
#include "common/model/plan_checks.h"

namespace distillery {
namespace {

constexpr int64_t kLargestPatch = 256;

}  // namespace

absl::StatusOr<std::vector<Layer>> PlanVit(const std::string& name,
                                           const ArchitectureOptions& options,
                                           const SampleSpec& spec, int64_t answers) {
  const std::string example = "vit:6-4-128-4";
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<int64_t> sizes,
      ParseSizes(name, example,
                 {kLayersRule, kHeadsRule, kWidthRule, {"PATCH", 1, kLargestPatch}}));
  const EncoderSize size{sizes[0], sizes[1], sizes[2]};
  const int64_t patch = sizes[3];
  DISTILLERY_RETURN_IF_ERROR(CheckHeads(name, size, example));
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape image, ImageInput(name, spec));
  if (image.height % patch != 0 || image.width % patch != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " needs pictures whose height and width are multiples of PATCH, ", patch,
                     ", the data has ", absl::StrJoin(image.ToVector(), " x ")));
  }
  const int64_t length = image.height / patch * (image.width / patch);
  PlanBuilder plan;
  plan.Convolution("patches", image.channels, size.width, patch, /*padding=*/0, /*stride=*/patch);
  plan.Plain(Layer::Kind::kPixelsAsPositions);
  plan.AddPositions("positions", length, size.width);
  plan.Dropout(options.input_dropout);
  AddEncoder(plan, size, options, length, /*mask=*/"");
  plan.MeanPosition(/*mask=*/"");
  plan.Linear("fc", size.width, answers);
  return plan.Finish();
}

}  // namespace distillery
