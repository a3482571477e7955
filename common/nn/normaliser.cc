#include "common/nn/normaliser.h"

#include <torch/types.h>

#include "common/data/numbers.h"

namespace distillery {

at::ScalarType ScalarTypeOf(const InputSpec& input) {
  switch (ModelType(input)) {
    case ElementType::kFloat32:
      return at::kFloat;
    case ElementType::kInt64:
      return at::kLong;
    default:
      return at::kByte;
  }
}

std::vector<int64_t> BatchShape(const InputSpec& input, int64_t rows) {
  std::vector<int64_t> shape = {rows};
  shape.insert(shape.end(), input.shape.begin(), input.shape.end());
  return shape;
}

Normaliser::Normaliser(const ModelCard& card, const at::Device& device) {
  int64_t first = 0;
  const at::Tensor mean = torch::tensor(card.mean);
  const at::Tensor deviation = torch::tensor(card.deviation);
  for (const InputSpec& input : card.samples.inputs) {
    const int64_t channels = input.channels();
    at::Tensor& of_mean = means_.emplace_back();
    at::Tensor& of_deviation = deviations_.emplace_back();
    if (channels == 0) continue;
    // One number for each row has no size that the channels could lie in.
    std::vector<int64_t> view(input.shape.size() + 1, 1);
    if (view.size() > 1) view[1] = channels;
    of_mean = mean.narrow(0, first, channels).view(view).to(device);
    of_deviation = deviation.narrow(0, first, channels).view(view).to(device);
    first += channels;
  }
}

std::vector<at::Tensor> Normaliser::operator()(const std::vector<at::Tensor>& inputs) const {
  std::vector<at::Tensor> normalised;
  for (size_t i = 0; i < inputs.size(); ++i) {
    normalised.push_back(means_[i].defined() ? (inputs[i] - means_[i]).div_(deviations_[i])
                                             : inputs[i]);
  }
  return normalised;
}

}  // namespace distillery
