#include "common/nn/inputs.h"

#include <torch/script.h>

#include "common/base/status_macros.h"
#include "common/data/pixels.h"

namespace distillery {

at::Tensor Normalise(const at::Tensor& inputs, const ModelCard& card) {
  const auto channels = static_cast<int64_t>(card.mean.size());
  const at::Device device = inputs.device();
  const at::Tensor mean = torch::tensor(card.mean).view({1, channels, 1, 1}).to(device);
  const at::Tensor deviation = torch::tensor(card.deviation).view({1, channels, 1, 1}).to(device);
  return (inputs - mean).div_(deviation);
}

absl::StatusOr<at::Tensor> LoadInputs(const Dataset& dataset, const std::vector<int64_t>& rows,
                                      const View& view) {
  const ImageShape& shape = dataset.shape();
  at::Tensor inputs =
      torch::empty({static_cast<int64_t>(rows.size()), shape.channels, shape.height, shape.width},
                   torch::kFloat32);
  DISTILLERY_RETURN_IF_ERROR(LoadPixels(dataset, rows, view, inputs.data_ptr<float>()));
  return inputs;
}

at::Tensor LoadLabels(const Dataset& dataset, const std::vector<int64_t>& rows) {
  at::Tensor labels = torch::empty({static_cast<int64_t>(rows.size())}, torch::kInt64);
  auto* const values = labels.data_ptr<int64_t>();
  for (size_t i = 0; i < rows.size(); ++i) values[i] = dataset.Label(rows[i]);
  return labels;
}

}  // namespace distillery
