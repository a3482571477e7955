#include "cli/models/sample.h"

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
#include "common/data/image_file.h"
#include "common/data/image_resize.h"
#include "common/data/pixels.h"

namespace distillery {

absl::StatusOr<Sample> ReadDatasetSample(const std::string& dataset, const std::string& split,
                                         const std::string& data_dir, int64_t index) {
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<Sample> samples,
                              ReadDatasetSamples(dataset, split, data_dir, {index}));
  return std::move(samples.front());
}

absl::StatusOr<std::vector<Sample>> ReadDatasetSamples(const std::string& dataset,
                                                       const std::string& split,
                                                       const std::string& data_dir,
                                                       const std::vector<int64_t>& indexes) {
  constexpr int64_t kShardSize = 1000;
  DatasetCatalog catalog(data_dir);
  DISTILLERY_ASSIGN_OR_RETURN(const auto data, catalog.Open({dataset, split, kShardSize}));
  std::vector<Sample> samples;
  for (const int64_t index : indexes) {
    if (index < 0 || index >= data->size()) {
      return absl::NotFoundError(absl::StrCat(dataset, "/", split, " has no sample ", index,
                                              "; indexes are 0 to ", data->size() - 1));
    }
    Sample& sample = samples.emplace_back();
    sample.name = absl::StrCat(dataset, "/", split, " ", index);
    sample.shape = data->shape();
    sample.pixels.resize(static_cast<size_t>(data->shape().size()));
    DISTILLERY_RETURN_IF_ERROR(LoadPixels(*data, {index}, View{}, sample.pixels.data()));
    sample.label = data->Label(index);
    sample.class_names = data->class_names();
  }
  return samples;
}

absl::StatusOr<Sample> ReadImageSample(const std::string& path, const ImageShape& shape,
                                       bool invert) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxImageFileBytes));
  DISTILLERY_ASSIGN_OR_RETURN(Image image, DecodeImage(bytes, shape.channels, path));
  if (!(image.shape == shape)) {
    DISTILLERY_ASSIGN_OR_RETURN(image, Resize(image, shape.height, shape.width));
  }
  Sample sample;
  sample.name = BaseName(path);
  sample.shape = shape;
  for (const uint8_t pixel : image.pixels) {
    const int value = invert ? 255 - pixel : pixel;
    sample.pixels.push_back(static_cast<float>(value) / 255.0F);
  }
  return sample;
}

}  // namespace distillery
