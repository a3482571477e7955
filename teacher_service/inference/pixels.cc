#include "teacher_service/inference/pixels.h"

#include <cstring>
#include <vector>

#include "common/base/half.h"
#include "common/base/names.h"

namespace distillery {
namespace {

// In the order of the enum.
const std::vector<std::string>& Names() {
  static const auto* const names = new std::vector<std::string>{"FP32", "FP64", "FP16", "UINT8"};
  return *names;
}

}  // namespace

absl::StatusOr<PixelType> ParsePixelType(const std::string& datatype) {
  for (size_t i = 0; i < Names().size(); ++i) {
    if (datatype == Names()[i]) return static_cast<PixelType>(i);
  }
  return absl::InvalidArgumentError(UnknownName("datatype", datatype, Names()));
}

std::string PixelTypeName(PixelType type) { return Names()[static_cast<size_t>(type)]; }

int64_t PixelBytes(PixelType type) {
  constexpr int64_t kBytes[] = {4, 8, 2, 1};
  return kBytes[static_cast<size_t>(type)];
}

void DecodePixels(absl::string_view raw, PixelType type, float* pixels) {
  const auto count = static_cast<int64_t>(raw.size()) / PixelBytes(type);
  switch (type) {
    case PixelType::kFloat32:
      std::memcpy(pixels, raw.data(), raw.size());
      break;
    case PixelType::kFloat16:
      HalvesToFloats(raw.data(), count, pixels);
      break;
    case PixelType::kFloat64:
      for (int64_t i = 0; i < count; ++i) {
        double value = 0;
        std::memcpy(&value, raw.data() + i * 8, sizeof(value));
        pixels[i] = static_cast<float>(value);
      }
      break;
    case PixelType::kUint8:
      for (int64_t i = 0; i < count; ++i) {
        pixels[i] = static_cast<unsigned char>(raw[static_cast<size_t>(i)]);
      }
      break;
  }
}

}  // namespace distillery
