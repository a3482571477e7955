#include "common/model/inputs.h"

#include <torch/script.h>

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

ModelCard CardForDataset(const Dataset& dataset, const std::string& architecture) {
  ModelCard card;
  card.architecture = architecture;
  card.input_shape = dataset.shape();
  card.class_names = dataset.class_names();
  const int64_t plane = dataset.shape().height * dataset.shape().width;
  for (const ChannelSums& sums : dataset.channel_sums()) {
    const auto count = static_cast<double>(dataset.size() * plane);
    const double mean = static_cast<double>(sums.values) / count;
    const double variance = static_cast<double>(sums.squares) / count - mean * mean;
    const double scale = dataset.pixel_max();
    card.mean.push_back(static_cast<float>(mean / scale));
    card.deviation.push_back(variance > 0 ? static_cast<float>(std::sqrt(variance) / scale) : 1.0F);
  }
  return card;
}

absl::Status CheckFits(const ModelCard& card, const Dataset& dataset) {
  if (!(card.input_shape == dataset.shape())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model takes images of ", absl::StrJoin(card.input_shape.ToVector(), " x "),
                     ", data set ", dataset.reference().name, " has ",
                     absl::StrJoin(dataset.shape().ToVector(), " x ")));
  }
  if (card.class_count() != dataset.class_count()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model has ", card.class_count(), " classes, data set ",
                     dataset.reference().name, " has ", dataset.class_count()));
  }
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> LoadInputs(const Dataset& dataset, const std::vector<int64_t>& rows,
                                      const View& view) {
  const ImageShape& shape = dataset.shape();
  at::Tensor inputs = torch::empty(
      {static_cast<int64_t>(rows.size()), shape.channels, shape.height, shape.width},
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
