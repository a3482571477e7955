#include "tests/benchmarks/resnet50.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/model/plan_builder.h"

namespace distillery {
namespace {

// [batch, in, h, w] -> [batch, 4 middle, h / stride, w / stride]
void AddBottleneck(PlanBuilder& plan, const std::string& name, int64_t in, int64_t middle,
                   int64_t stride) {
  const int64_t out = 4 * middle;
  plan.Fork("y");
  plan.ResidualConvolution(name + ".conv1", in, middle, 1, 1);
  plan.BatchNorm(name + ".bn1", middle);
  plan.Relu();
  plan.ResidualConvolution(name + ".conv2", middle, middle, 3, stride);
  plan.BatchNorm(name + ".bn2", middle);
  plan.Relu();
  plan.ResidualConvolution(name + ".conv3", middle, out, 1, 1);
  plan.BatchNorm(name + ".bn3", out);
  plan.Return();
  if (in != out) {
    plan.ResidualConvolution(name + ".downsample.0", in, out, 1, stride);
    plan.BatchNorm(name + ".downsample.1", out);
  }
  plan.Add("y");
  plan.Relu();
}

}  // namespace

std::vector<Layer> PlanResnet50(int64_t channels, int64_t classes) {
  constexpr int64_t kBlocks[] = {3, 4, 6, 3};
  constexpr int64_t kStem = 64;
  PlanBuilder plan;
  plan.ResidualConvolution("conv1", channels, kStem, 7, 2);
  plan.BatchNorm("bn1", kStem);
  plan.Relu();
  plan.MaxPool();
  int64_t in = kStem;
  for (int64_t stage = 0; stage < 4; ++stage) {
    const int64_t middle = kStem << stage;
    for (int64_t block = 0; block < kBlocks[stage]; ++block) {
      AddBottleneck(plan, absl::StrCat("layer", stage + 1, ".", block), in, middle,
                    /*stride=*/stage > 0 && block == 0 ? 2 : 1);
      in = 4 * middle;
    }
  }
  plan.GlobalAveragePool();
  plan.Flatten();
  plan.Linear("fc", in, classes);
  return plan.Finish();
}

}  // namespace distillery
