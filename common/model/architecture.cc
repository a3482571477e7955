#include "common/model/architecture.h"

#include <cmath>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/model/numerics.h"

namespace distillery {
namespace {

struct Options {
  double dropout = 0;
  double input_dropout = 0;
};

// "name,dropout=0.5" -> name and options.
absl::StatusOr<std::pair<std::string, Options>> SplitOptions(const std::string& architecture) {
  const std::vector<std::string> parts = absl::StrSplit(architecture, ',');
  Options options;
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::vector<std::string> pair = absl::StrSplit(parts[i], absl::MaxSplits('=', 1));
    double* const target = pair[0] == "dropout"         ? &options.dropout
                           : pair[0] == "input_dropout" ? &options.input_dropout
                                                        : nullptr;
    if (target == nullptr) {
      return absl::InvalidArgumentError(
          UnknownName("architecture option", pair[0], {"dropout", "input_dropout"}));
    }
    if (pair.size() != 2 || !absl::SimpleAtod(pair[1], target) ||
        !(*target >= 0 && *target < 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat(pair[0], " must be 0 to below 1 in ", architecture));
    }
  }
  return std::make_pair(parts[0], options);
}

// Collects layers and the TorchScript source that calls them.
class ModuleBuilder {
 public:
  explicit ModuleBuilder(int64_t seed)
      : seed_(seed), unit_(std::make_shared<torch::jit::CompilationUnit>()), root_(New("Student")) {}

  // x [batch, in] -> [batch, out]
  void Linear(const std::string& name, int64_t in, int64_t out) {
    AddLayer(name, {out, in}, in);
    Line(absl::StrCat("x = torch.linear(x, self.", name, ".weight, self.", name, ".bias)"));
  }
  // x [batch, in, h, w] -> [batch, out, h + 2 padding - size + 1, ...]
  void Convolution(const std::string& name, int64_t in, int64_t out, int64_t size,
                   int64_t padding) {
    AddLayer(name, {out, in, size, size}, in * size * size);
    Line(absl::StrCat("x = torch.conv2d(x, self.", name, ".weight, self.", name,
                      ".bias, [1, 1], [", padding, ", ", padding, "])"));
  }
  void Dropout(double rate) {
    if (rate > 0) Line(absl::StrCat("x = torch.dropout(x, ", rate, ", self.training)"));
  }
  void Line(const std::string& text) { absl::StrAppend(&source_, "    ", text, "\n"); }

  torch::jit::Module Finish() {
    root_.define(absl::StrCat("def forward(self, x: Tensor) -> Tensor:\n", source_,
                              "    return x\n"));
    root_.train();
    return root_;
  }

 private:
  torch::jit::Module New(const std::string& class_name) {
    torch::jit::Module module(c10::QualifiedName(absl::StrCat("__torch__.distillery.", class_name)),
                              unit_, /*shouldMangle=*/true);
    // Without this attribute train() and eval() would be ignored.
    module.register_attribute("training", c10::BoolType::get(), true);
    return module;
  }

  void AddLayer(const std::string& name, const std::vector<int64_t>& shape, int64_t fan_in) {
    torch::jit::Module layer = New("Layer");
    const float bound = 1.0F / std::sqrt(static_cast<float>(fan_in));
    layer.register_parameter("weight", Seeded(name + ".weight", shape, bound), false);
    layer.register_parameter("bias", Seeded(name + ".bias", {shape[0]}, bound), false);
    root_.register_module(name, layer);
  }

  at::Tensor Seeded(const std::string& name, const std::vector<int64_t>& shape, float bound) {
    at::Tensor tensor = torch::empty(shape, torch::kFloat32);
    RandomStream random(seed_, absl::StrCat("initialise ", name));
    auto* const values = tensor.data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = (2 * random.Uniform() - 1) * bound;
    return tensor.set_requires_grad(true);
  }

  const int64_t seed_;
  const std::shared_ptr<torch::jit::CompilationUnit> unit_;
  torch::jit::Module root_;
  std::string source_;
};

absl::StatusOr<torch::jit::Module> BuildMlp(const std::string& sizes_text, const Options& options,
                                            const ImageShape& input, int64_t class_count,
                                            int64_t seed) {
  std::vector<int64_t> sizes;
  for (const absl::string_view text : absl::StrSplit(sizes_text, '-')) {
    int64_t size = 0;
    if (!absl::SimpleAtoi(text, &size) || size < 1 || size > 1'000'000) {
      return absl::InvalidArgumentError(
          absl::StrCat("mlp:", sizes_text, ": each size must be 1 to 1000000, as in mlp:64-32-10"));
    }
    sizes.push_back(size);
  }
  if (sizes.size() < 2) {
    return absl::InvalidArgumentError("mlp needs at least input and output size, as in mlp:64-10");
  }
  if (sizes.front() != input.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("mlp:", sizes_text, " takes ", sizes.front(), " inputs, the data has ",
                     absl::StrJoin(input.ToVector(), " x "), " = ", input.size()));
  }
  if (sizes.back() != class_count) {
    return absl::InvalidArgumentError(absl::StrCat("mlp:", sizes_text, " has ", sizes.back(),
                                                   " outputs, the data has ", class_count,
                                                   " classes"));
  }
  ModuleBuilder builder(seed);
  builder.Line("x = torch.flatten(x, 1)");
  builder.Dropout(options.input_dropout);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    builder.Linear(absl::StrCat("fc", i + 1), sizes[i], sizes[i + 1]);
    if (i + 2 < sizes.size()) {
      builder.Line("x = torch.relu(x)");
      builder.Dropout(options.dropout);
    }
  }
  return builder.Finish();
}

absl::StatusOr<torch::jit::Module> BuildLenet(const Options& options, const ImageShape& input,
                                              int64_t class_count, int64_t seed) {
  constexpr int64_t kKernel = 5;
  // The second convolution shrinks the image as in the paper where it is large enough.
  const int64_t padding = std::min(input.height, input.width) / 2 >= kKernel + 1 ? 0 : 2;
  const auto shrink = [&](int64_t size) { return (size / 2 + 2 * padding - kKernel + 1) / 2; };
  if (shrink(input.height) < 1 || shrink(input.width) < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("lenet needs images of at least 4 x 4, the data has ",
                     absl::StrJoin(input.ToVector(), " x ")));
  }
  ModuleBuilder builder(seed);
  builder.Dropout(options.input_dropout);
  builder.Convolution("conv1", input.channels, 6, kKernel, 2);
  builder.Line("x = torch.max_pool2d(torch.relu(x), [2, 2])");
  builder.Convolution("conv2", 6, 16, kKernel, padding);
  builder.Line("x = torch.max_pool2d(torch.relu(x), [2, 2])");
  builder.Line("x = torch.flatten(x, 1)");
  builder.Linear("fc1", 16 * shrink(input.height) * shrink(input.width), 120);
  builder.Line("x = torch.relu(x)");
  builder.Dropout(options.dropout);
  builder.Linear("fc2", 120, 84);
  builder.Line("x = torch.relu(x)");
  builder.Dropout(options.dropout);
  builder.Linear("fc3", 84, class_count);
  return builder.Finish();
}

}  // namespace

absl::StatusOr<torch::jit::Module> BuildArchitecture(const std::string& architecture,
                                                     const ImageShape& input, int64_t class_count,
                                                     int64_t seed) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto named, SplitOptions(architecture));
  const auto& [name, options] = named;
  absl::StatusOr<torch::jit::Module> module = absl::InternalError("not built");
  const absl::Status status = CatchTorchErrors([&, &name = name, &options = options] {
    if (absl::StartsWith(name, "mlp:")) {
      module = BuildMlp(name.substr(4), options, input, class_count, seed);
    } else if (name == "lenet") {
      module = BuildLenet(options, input, class_count, seed);
    } else {
      module = absl::InvalidArgumentError(
          UnknownName("architecture", name, {"mlp:SIZES", "lenet"}));
    }
    return absl::OkStatus();
  });
  DISTILLERY_RETURN_IF_ERROR(status);
  return module;
}

int64_t CountParameters(const torch::jit::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

}  // namespace distillery
