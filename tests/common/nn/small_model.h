// Small models and data made by hand.
#pragma once

#include <torch/script.h>

#include <memory>
#include <string>

#include "common/data/dataset.h"
#include "common/model/card.h"
#include "tests/common/status_matchers.h"

namespace distillery {

// A card for images 1 x 2 x 2 in two classes, normalised to themselves.
inline ModelCard SmallCard() {
  ModelCard card;
  card.samples = SampleSpec::Pictures({1, 2, 2}, 255);
  card.mean = {0};
  card.deviation = {1};
  card.class_names = {"dark", "light"};
  return card;
}

// A module with a `training` flag and this TorchScript source.
inline torch::jit::Module ModuleOf(const std::string& source) {
  torch::jit::Module module("Small");
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(source);
  return module;
}

// Logits of an image x: (1, mean of x * 4), so "light" where the mean is above 1/4.
inline torch::jit::Module BrightnessModule() {
  return ModuleOf(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    light = torch.mean(torch.flatten(x, 1), [1]) * 4\n"
      "    return torch.stack([torch.ones_like(light), light], 1)\n");
}

// Images 1 x 2 x 2 whose four pixels are all `pixel / 4`, cut in shards of 2.
inline std::shared_ptr<const Dataset> UniformImages(const std::vector<int>& pixels,
                                                    const std::vector<int32_t>& labels) {
  auto samples = std::make_shared<StoredSamples>();
  samples->name = "uniform";
  samples->spec = SampleSpec::Pictures({1, 2, 2}, 255);
  samples->spec.inputs[0].pixel_max = 4;
  samples->class_names = {"dark", "light"};
  samples->labels = LabelList(labels);
  for (size_t i = 0; i < pixels.size(); ++i) {
    samples->records.insert(samples->records.end(), 4, static_cast<uint8_t>(pixels[i]));
    samples->test.push_back(static_cast<int64_t>(i));
  }
  return *Dataset::Create(samples, {"uniform", "test", 2});
}

}  // namespace distillery
