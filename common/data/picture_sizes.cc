#include "common/data/picture_sizes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

// [channels, height, width].
bool Grows(const std::vector<int64_t>& taken, const std::vector<int64_t>& data) {
  return taken[1] > data[1] || taken[2] > data[2];
}

std::string SizeOf(const std::vector<int64_t>& shape) {
  return absl::StrCat(shape[1], " x ", shape[2]);
}

std::string WayOut(const std::vector<int64_t>& taken, const std::vector<int64_t>& data) {
  return absl::StrCat("pictures of ", SizeOf(data), " are not grown to ", SizeOf(taken),
                      ": store the data in that size (\"height\": ", taken[1],
                      ", \"width\": ", taken[2], " in the dataset.json of a folder of images)");
}

}  // namespace

SampleSpec InSizesOf(const std::vector<InputSpec>& taken, SampleSpec data) {
  const size_t count = std::min(taken.size(), data.inputs.size());
  for (size_t i = 0; i < count; ++i) {
    InputSpec& input = data.inputs[i];
    if (!input.is_picture() || !taken[i].is_picture()) continue;
    const std::vector<int64_t>& shape = taken[i].shape;
    if (shape[0] == input.shape[0] && !Grows(shape, input.shape)) input.shape = shape;
  }
  return data;
}

std::string DescribeGrowth(const std::vector<InputSpec>& taken, const SampleSpec& data) {
  const size_t count = std::min(taken.size(), data.inputs.size());
  for (size_t i = 0; i < count; ++i) {
    if (!data.inputs[i].is_picture() || !taken[i].is_picture()) continue;
    if (!Grows(taken[i].shape, data.inputs[i].shape)) continue;
    return absl::StrCat("; ", WayOut(taken[i].shape, data.inputs[i].shape),
                        ", or take a model for smaller ones");
  }
  return "";
}

absl::StatusOr<SampleSpec> Shrunk(SampleSpec data, int64_t height, int64_t width) {
  bool any = false;
  for (InputSpec& input : data.inputs) {
    if (!input.is_picture()) continue;
    const std::vector<int64_t> shape = {input.shape[0], height, width};
    if (Grows(shape, input.shape)) {
      return absl::InvalidArgumentError(WayOut(shape, input.shape));
    }
    input.shape = shape;
    any = true;
  }
  if (any) return data;
  return absl::InvalidArgumentError(
      absl::StrCat("the data has no picture, it is ", data.ToString(), ": leave it out"));
}

}  // namespace distillery
