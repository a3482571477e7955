#include "common/data/pixels.h"

namespace distillery {

void LoadPixels(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                float* output) {
  const auto size = static_cast<size_t>(dataset.shape().size());
  const auto scale = static_cast<float>(dataset.pixel_max());
  std::vector<uint8_t> picture(size);
  for (const int64_t row : rows) {
    const uint8_t* bytes = dataset.Pixels(row);
    if (!view.augmentation.identity()) {
      view.augmentation.Apply(dataset.shape(), bytes, view.seed, dataset.StoredIndex(row),
                              view.view, picture.data());
      bytes = picture.data();
    }
    for (size_t i = 0; i < size; ++i) output[i] = static_cast<float>(bytes[i]) / scale;
    output += size;
  }
}

}  // namespace distillery
