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
#include "common/model/plan_builder.h"
#include "common/model/residual_plan.h"

namespace distillery {
namespace {

// "name,dropout=0.5" -> name and options.
absl::Status SplitOptions(const std::string& architecture, std::string* name,
                          ArchitectureOptions* options) {
  const std::vector<std::string> parts = absl::StrSplit(architecture, ',');
  *name = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::vector<std::string> pair = absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    double* const target = pair[0] == "dropout"         ? &options->dropout
                           : pair[0] == "input_dropout" ? &options->input_dropout
                                                        : nullptr;
    if (target == nullptr) {
      return absl::InvalidArgumentError(
          UnknownName("architecture option", pair[0], {"dropout", "input_dropout"}));
    }
    if (pair.size() != 2 || !absl::SimpleAtod(pair[1], target) || !(*target >= 0 && *target < 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat(pair[0], " must be 0 to below 1 in ", architecture));
    }
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

absl::StatusOr<std::vector<Layer>> PlanMlp(const std::string& name,
                                           const ArchitectureOptions& options,
                                           const ImageShape& input, int64_t class_count) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, ParseMlpSizes(name));
  if (sizes.front() != input.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " takes ", sizes.front(), " inputs, the data has ",
                     absl::StrJoin(input.ToVector(), " x "), " = ", input.size()));
  }
  if (sizes.back() != class_count) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " has ", sizes.back(), " outputs, the data has ", class_count, " classes"));
  }
  PlanBuilder plan;
  plan.Flatten();
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

absl::StatusOr<std::vector<Layer>> PlanLenet(const std::string& /*name*/,
                                             const ArchitectureOptions& options,
                                             const ImageShape& input, int64_t class_count) {
  constexpr int64_t kKernel = 5;
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
  plan.Linear("fc3", 84, class_count);
  return plan.Finish();
}

absl::Status MlpTrial(const std::string& name, ImageShape* input, int64_t* class_count) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<int64_t> sizes, ParseMlpSizes(name));
  *input = {1, 1, sizes.front()};
  *class_count = sizes.back();
  return absl::OkStatus();
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
  absl::StatusOr<std::vector<Layer>> (*plan)(const std::string& name,
                                             const ArchitectureOptions& options,
                                             const ImageShape& input, int64_t class_count);
  // Images and classes that the name itself asks for; null if it asks for none.
  absl::Status (*trial)(const std::string& name, ImageShape* input, int64_t* class_count);
};

// A row for each family.
const std::vector<Family>& Families() {
  static const auto* const families = new std::vector<Family>{
      {"mlp:", false, {"mlp:SIZES"}, "mlp:IN-HIDDEN-...-OUT", &PlanMlp, &MlpTrial},
      {"lenet", true, {"lenet"}, "lenet", &PlanLenet, nullptr},
      {"resnet", false, ResnetNames(), "resnet8 to resnet110", &PlanResnet, nullptr},
      {"wrn-", false, WideNames(), "wrn-D-W", &PlanWide, nullptr},
  };
  return *families;
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
                                                    const ImageShape& input, int64_t class_count) {
  std::string name;
  ArchitectureOptions options;
  DISTILLERY_RETURN_IF_ERROR(SplitOptions(architecture, &name, &options));
  DISTILLERY_ASSIGN_OR_RETURN(const Family* const family, FamilyOf(name));
  return family->plan(name, options, input, class_count);
}

absl::Status CheckArchitecture(const std::string& architecture) {
  // What fits every architecture that does not name its own sizes.
  ImageShape input{1, 32, 32};
  int64_t class_count = 10;
  const std::string name = architecture.substr(0, architecture.find(','));
  const absl::StatusOr<const Family*> family = FamilyOf(name);
  if (family.ok() && (*family)->trial != nullptr) {
    DISTILLERY_RETURN_IF_ERROR((*family)->trial(name, &input, &class_count));
  }
  return PlanArchitecture(architecture, input, class_count).status();
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
