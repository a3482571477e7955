#include "common/model/architecture_plan.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/model/keyword_plan.h"
#include "common/model/mobilenet_plan.h"
#include "common/model/plan_builder.h"
#include "common/model/plan_checks.h"
#include "common/model/residual_plan.h"
#include "common/model/sequence_plan.h"
#include "common/model/unet_plan.h"
#include "common/model/vit_plan.h"

namespace distillery {
namespace {

// What families have of their own; `value` is where the flag is kept.
struct FlagOption {
  absl::string_view name;
  bool ArchitectureOptions::*value;
};
constexpr FlagOption kFlags[] = {{"causal", &ArchitectureOptions::causal},
                                 {"channels_last", &ArchitectureOptions::channels_last}};

absl::Status SetOption(const std::string& architecture, const std::string& text,
                       ArchitectureOptions* options) {
  const std::vector<std::string> pair = absl::StrSplit(text, absl::MaxSplits('=', 1));
  std::vector<std::string> known{"dropout", "input_dropout"};
  for (const FlagOption& flag : kFlags) {
    known.emplace_back(flag.name);
    if (pair[0] != flag.name) continue;
    options->*flag.value = true;
    if (pair.size() == 1) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(pair[0], " takes no value in ", architecture, ": leave it out for no"));
  }
  double* const target = pair[0] == "dropout"         ? &options->dropout
                         : pair[0] == "input_dropout" ? &options->input_dropout
                                                      : nullptr;
  if (target == nullptr) {
    return absl::InvalidArgumentError(UnknownName("architecture option", pair[0], known));
  }
  if (pair.size() != 2 || !absl::SimpleAtod(pair[1], target) || !(*target >= 0 && *target < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat(pair[0], " must be 0 to below 1 in ", architecture));
  }
  return absl::OkStatus();
}

// "name,dropout=0.5" -> name and options.
absl::Status SplitOptions(const std::string& architecture, std::string* name,
                          ArchitectureOptions* options) {
  const std::vector<std::string> parts = absl::StrSplit(architecture, ',');
  *name = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(SetOption(architecture, parts[i], options));
  }
  return absl::OkStatus();
}

// The sizes in a name such as "mlp:64-32-10".
absl::StatusOr<std::vector<int64_t>> ParseMlpSizes(const std::string& name) {
  std::vector<int64_t> sizes;
  for (const absl::string_view text : absl::StrSplit(absl::StripPrefix(name, "mlp:"), '-')) {
    int64_t size = 0;
    if (!absl::SimpleAtoi(text, &size) || size < 1 || size > 1'000'000) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": each size must be 1 to 1000000, as in mlp:64-32-10"));
    }
    sizes.push_back(size);
  }
  if (sizes.size() < 2) {
    return absl::InvalidArgumentError("mlp needs at least input and output size, as in mlp:64-10");
  }
  return sizes;
}

// INVALID_ARGUMENT unless the inputs have as many numbers as the first size says.
absl::Status CheckMlpInputs(const std::string& name, int64_t size, const SampleSpec& spec) {
  int64_t elements = 0;
  std::vector<std::string> sizes;
  for (const InputSpec& input : spec.inputs) {
    if (!input.is_picture() && input.type != ElementType::kFloat32 &&
        input.type != ElementType::kFloat16) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " takes pictures and float numbers, the data has ", input.ToString()));
    }
    elements += input.elements();
    sizes.push_back(input.shape.empty() ? "1" : absl::StrJoin(input.shape, " x "));
  }
  if (size == elements) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(name, " takes ", size, " inputs, the data has ",
                                                 absl::StrJoin(sizes, " + "), " = ", elements));
}

absl::StatusOr<std::vector<Layer>> PlanMlp(const std::string& name,
                                           const ArchitectureOptions& options,
                                           const SampleSpec& spec, int64_t answers) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, ParseMlpSizes(name));
  DISTILLERY_RETURN_IF_ERROR(CheckMlpInputs(name, sizes.front(), spec));
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  if (sizes.back() != answers) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " has ", sizes.back(), " outputs, the data has ", DescribeAnswers(spec, answers)));
  }
  PlanBuilder plan;
  const std::vector<std::string> values = InputValues(spec);
  for (size_t i = 0; i < values.size(); ++i) {
    plan.From(values[i]);
    plan.Fork(i == 0 ? "x" : values[i]);
    if (spec.inputs[i].shape.empty()) plan.AppendSize();
    plan.Flatten();
  }
  plan.Return();
  for (size_t i = 1; i < values.size(); ++i) plan.Concat(values[i]);
  plan.Dropout(options.input_dropout);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    plan.Linear(absl::StrCat("fc", i + 1), sizes[i], sizes[i + 1]);
    if (i + 2 < sizes.size()) {
      plan.Relu();
      plan.Dropout(options.dropout);
    }
  }
  return plan.Finish();
}

absl::StatusOr<std::vector<Layer>> PlanLenet(const std::string& name,
                                             const ArchitectureOptions& options,
                                             const SampleSpec& spec, int64_t answers) {
  constexpr int64_t kKernel = 5;
  DISTILLERY_RETURN_IF_ERROR(CheckOneAnswer(name, spec));
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape input, ImageInput(name, spec));
  // The second convolution shrinks the image as in the paper where it is large enough.
  const int64_t padding = std::min(input.height, input.width) / 2 >= kKernel + 1 ? 0 : 2;
  const auto shrink = [&](int64_t size) { return (size / 2 + 2 * padding - kKernel + 1) / 2; };
  if (shrink(input.height) < 1 || shrink(input.width) < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("lenet needs images of at least 4 x 4, the data has ",
                     absl::StrJoin(input.ToVector(), " x ")));
  }
  PlanBuilder plan;
  plan.Dropout(options.input_dropout);
  plan.Convolution("conv1", input.channels, 6, kKernel, 2);
  plan.Relu();
  plan.MaxPool();
  plan.Convolution("conv2", 6, 16, kKernel, padding);
  plan.Relu();
  plan.MaxPool();
  plan.Flatten();
  plan.Linear("fc1", 16 * shrink(input.height) * shrink(input.width), 120);
  plan.Relu();
  plan.Dropout(options.dropout);
  plan.Linear("fc2", 120, 84);
  plan.Relu();
  plan.Dropout(options.dropout);
  plan.Linear("fc3", 84, answers);
  return plan.Finish();
}

// Data that a name can be tried on.
struct Trial {
  SampleSpec spec;
  int64_t answers = 10;
};

absl::StatusOr<Trial> ImageTrial(const std::string& /*name*/) {
  return Trial{SampleSpec::Pictures({1, 32, 32}, 255)};
}

absl::StatusOr<Trial> MlpTrial(const std::string& name) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, ParseMlpSizes(name));
  return Trial{SampleSpec::Pictures({1, 1, sizes.front()}, 255), sizes.back()};
}

absl::StatusOr<Trial> TokenTrial(const std::string& /*name*/) {
  Trial trial;
  trial.spec.inputs = {{"tokens", ElementType::kInt64, {32}, 0, 256}};
  trial.spec.answer.positions = {32};
  return trial;
}

absl::StatusOr<Trial> SeriesTrial(const std::string& /*name*/) {
  Trial trial;
  trial.spec.inputs = {{"series", ElementType::kFloat32, {32, 32}}};
  return trial;
}

absl::StatusOr<Trial> SoundTrial(const std::string& /*name*/) {
  Trial trial;
  trial.spec.inputs = {{"audio", ElementType::kFloat32, {1, 8000}}};
  return trial;
}

// One patch. Of a name without its size the plan says what is wrong.
absl::StatusOr<Trial> PatchTrial(const std::string& name) {
  int64_t side = 0;
  (void)absl::SimpleAtoi(name.substr(name.rfind('-') + 1), &side);
  return Trial{SampleSpec::Pictures({1, side, side}, 255)};
}

absl::StatusOr<Trial> PixelTrial(const std::string& name) {
  DISTILLERY_ASSIGN_OR_RETURN(Trial trial, ImageTrial(name));
  trial.spec.answer.positions = {32, 32};
  return trial;
}

// Architectures whose names begin alike.
struct Family {
  absl::string_view prefix;
  // The prefix is the whole name.
  bool alone;
  // Names that lists of what is known show.
  std::vector<std::string> known;
  // What help texts show.
  absl::string_view help;
  // Options of its own, among kFlags.
  std::vector<absl::string_view> flags;
  absl::StatusOr<std::vector<Layer>> (*plan)(const std::string& name,
                                             const ArchitectureOptions& options,
                                             const SampleSpec& spec, int64_t answers);
  // Data that fit the name, if any do.
  absl::StatusOr<Trial> (*trial)(const std::string& name);
};

// A row for each family.
const std::vector<Family>& Families() {
  static const auto* const families = new std::vector<Family>{
      {"mlp:", false, {"mlp:SIZES"}, "mlp:IN-HIDDEN-...-OUT", {}, &PlanMlp, &MlpTrial},
      {"lenet", true, {"lenet"}, "lenet", {}, &PlanLenet, &ImageTrial},
      {"resnet", false, ResnetNames(), "resnet8 to resnet110", {}, &PlanResnet, &ImageTrial},
      {"wrn-", false, WideNames(), "wrn-D-W", {}, &PlanWide, &ImageTrial},
      {"transformer:",
       false,
       {"transformer:LAYERS-HEADS-WIDTH"},
       "transformer:LAYERS-HEADS-WIDTH",
       {"causal"},
       &PlanTransformer,
       &TokenTrial},
      {"gru:",
       false,
       {"gru:STATES"},
       "gru:STATES-LAYERS",
       {"channels_last"},
       &PlanGru,
       &SeriesTrial},
      {"unet:", false, {"unet:CHANNELS"}, "unet:CHANNELS-LEVELS", {}, &PlanUnet, &PixelTrial},
      {"mobilenetv2",
       false,
       {"mobilenetv2", "mobilenetv2:PERCENT"},
       "mobilenetv2:PERCENT",
       {},
       &PlanMobilenet,
       &ImageTrial},
      {"vit:",
       false,
       {"vit:LAYERS-HEADS-WIDTH-PATCH"},
       "vit:LAYERS-HEADS-WIDTH-PATCH",
       {},
       &PlanVit,
       &PatchTrial},
      {"dscnn:", false, {"dscnn:CHANNELS"}, "dscnn:CHANNELS-BLOCKS", {}, &PlanDscnn, &ImageTrial},
      {"conv1d:", false, {"conv1d:CHANNELS"}, "conv1d:CHANNELS", {}, &PlanConv1d, &SoundTrial},
  };
  return *families;
}

// INVALID_ARGUMENT for a flag of another family.
absl::Status CheckFlags(const Family& family, const std::string& name,
                        const ArchitectureOptions& options) {
  for (const FlagOption& flag : kFlags) {
    const auto has = [&](const Family& other) {
      return std::find(other.flags.begin(), other.flags.end(), flag.name) != other.flags.end();
    };
    if (!(options.*flag.value) || has(family)) continue;
    const auto& all = Families();
    return absl::InvalidArgumentError(absl::StrCat(flag.name, " is an option of ",
                                                   std::find_if(all.begin(), all.end(), has)->help,
                                                   ", not of ", name));
  }
  return absl::OkStatus();
}

absl::StatusOr<const Family*> FamilyOf(const std::string& name) {
  std::vector<std::string> known;
  for (const Family& family : Families()) {
    if (family.alone ? name == family.prefix : absl::StartsWith(name, family.prefix)) {
      return &family;
    }
    known.insert(known.end(), family.known.begin(), family.known.end());
  }
  return absl::InvalidArgumentError(UnknownName("architecture", name, known));
}

}  // namespace

absl::StatusOr<std::vector<Layer>> PlanArchitecture(const std::string& architecture,
                                                    const SampleSpec& spec, int64_t answers) {
  std::string name;
  ArchitectureOptions options;
  DISTILLERY_RETURN_IF_ERROR(SplitOptions(architecture, &name, &options));
  DISTILLERY_ASSIGN_OR_RETURN(const Family* const family, FamilyOf(name));
  DISTILLERY_RETURN_IF_ERROR(CheckFlags(*family, name, options));
  return family->plan(name, options, spec, answers);
}

absl::StatusOr<std::vector<Layer>> PlanArchitecture(const std::string& architecture,
                                                    const ImageShape& input, int64_t class_count) {
  return PlanArchitecture(architecture, SampleSpec::Pictures(input, 255), class_count);
}

absl::Status CheckArchitecture(const std::string& architecture) {
  const std::string name = architecture.substr(0, architecture.find(','));
  DISTILLERY_ASSIGN_OR_RETURN(const Family* const family, FamilyOf(name));
  DISTILLERY_ASSIGN_OR_RETURN(const Trial trial, family->trial(name));
  return PlanArchitecture(architecture, trial.spec, trial.answers).status();
}

std::string ArchitectureHelp() {
  std::string text;
  for (const Family& family : Families()) {
    const bool last = &family == &Families().back();
    absl::StrAppend(&text, text.empty() ? "" : last ? " or " : ", ", family.help);
  }
  return text;
}

}  // namespace distillery
