#include "common/weights/delta_encoding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kScaleBlock = 256;
constexpr float kMostInt8 = 127;
// Elements decoded at once: whole blocks.
constexpr int64_t kPieceElements = 1024 * kScaleBlock;

bool IsEncoded(const TensorSpec& tensor, const std::vector<std::string>& buffers) {
  return tensor.type == ElementType::kFloat32 &&
         !std::binary_search(buffers.begin(), buffers.end(), tensor.name);
}

std::string ScalesName(const std::string& name) { return name + "/scales"; }

int64_t BlockCount(int64_t elements) { return (elements + kScaleBlock - 1) / kScaleBlock; }

absl::StatusOr<WeightsLayout> EncodedLayout(const WeightsLayout& layout,
                                            const std::vector<std::string>& buffers,
                                            DeltaEncoding encoding) {
  std::vector<TensorSpec> tensors;
  for (TensorSpec tensor : layout.tensors()) {
    if (IsEncoded(tensor, buffers)) {
      if (encoding == DeltaEncoding::kFloat16) tensor.type = ElementType::kFloat16;
      if (encoding == DeltaEncoding::kBFloat16) tensor.type = ElementType::kBFloat16;
      if (encoding == DeltaEncoding::kInt8) {
        tensor.type = ElementType::kInt8;
        TensorSpec scales;
        scales.name = ScalesName(tensor.name);
        scales.shape = {BlockCount(tensor.element_count)};
        tensors.push_back(std::move(scales));
      }
    }
    tensors.push_back(std::move(tensor));
  }
  return WeightsLayout::Create(std::move(tensors));
}

float FloatAt(const char* bytes, int64_t index) {
  float value = 0;
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(float)), sizeof(value));
  return value;
}

void SetFloat(char* bytes, int64_t index, float value) {
  std::memcpy(bytes + index * static_cast<int64_t>(sizeof(float)), &value, sizeof(value));
}

uint32_t Bits(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float FromBits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Drops the last `dropped` bits of the mantissa, rounding the magnitude up with the probability
// that they stand for: a carry into the exponent is the next value there too.
uint32_t RoundBits(float value, int dropped, RandomStream* random) {
  const uint32_t mask = (1U << dropped) - 1;
  return (Bits(value) + (random->Next32() & mask)) & ~mask;
}

uint16_t ToHalf(float value, RandomStream* random) {
  constexpr float kLeastNormal = 0x1.0p-14F;
  constexpr float kQuantum = 0x1.0p-24F;
  if (std::abs(value) >= kLeastNormal) return FloatToHalf(FromBits(RoundBits(value, 13, random)));
  // Below, the halves lie evenly.
  const float steps = std::floor(std::abs(value) / kQuantum + random->Uniform());
  return FloatToHalf(std::copysign(steps * kQuantum, value));
}

uint16_t ToBFloat16(float value, RandomStream* random) {
  constexpr uint32_t kLargest = 0x7F7F;
  const uint32_t bits = RoundBits(value, 16, random) >> 16;
  return static_cast<uint16_t>((bits & 0x7FFFU) > kLargest ? (bits & 0x8000U) | kLargest : bits);
}

template <typename T>
void Put(char* bytes, int64_t index, T value) {
  std::memcpy(bytes + index * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

void EncodeInt8(const char* source, int64_t count, RandomStream* random, char* values,
                char* scales) {
  for (int64_t first = 0; first < count; first += kScaleBlock) {
    const int64_t size = std::min(kScaleBlock, count - first);
    float largest = 0;
    for (int64_t i = 0; i < size; ++i) {
      largest = std::max(largest, std::abs(FloatAt(source, first + i)));
    }
    float scale = largest / kMostInt8;
    // A subnormal scale would divide to more than 127.
    if (scale < std::numeric_limits<float>::min()) scale = 0;
    // Rounded up, it could decode to infinity.
    if (std::isinf(scale * kMostInt8)) scale = std::nextafter(scale, 0.0F);
    SetFloat(scales, first / kScaleBlock, scale);
    for (int64_t i = 0; i < size; ++i) {
      const float uniform = random->Uniform();
      float rounded = 0;
      if (scale > 0) rounded = std::floor(FloatAt(source, first + i) / scale + uniform);
      rounded = std::clamp(rounded, -kMostInt8, kMostInt8);
      Put<int8_t>(values, first + i, static_cast<int8_t>(rounded));
    }
  }
}

}  // namespace

const std::vector<std::string>& DeltaEncodingNames() {
  // In the order of DeltaEncoding.
  static const auto* const names =
      new std::vector<std::string>{"float32", "float16", "bfloat16", "int8"};
  return *names;
}

std::optional<DeltaEncoding> ParseDeltaEncoding(const std::string& name) {
  if (name.empty()) return DeltaEncoding::kFloat32;
  const std::vector<std::string>& names = DeltaEncodingNames();
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) return std::nullopt;
  return static_cast<DeltaEncoding>(it - names.begin());
}

std::string EncodeDelta(const Weights& delta, const std::vector<std::string>& buffers,
                        DeltaEncoding encoding, RandomStream random, const Ties& ties) {
  if (encoding == DeltaEncoding::kFloat32) return delta.file();
  Weights encoded(*EncodedLayout(delta.layout(), buffers, encoding));
  const auto copy = [&encoded](const std::string& from, const std::string& to) {
    const absl::string_view bytes = std::as_const(encoded).Bytes(*encoded.layout().Find(from));
    std::memcpy(encoded.Bytes(*encoded.layout().Find(to)), bytes.data(), bytes.size());
  };
  for (const TensorSpec& tensor : delta.layout().tensors()) {
    const absl::string_view source = delta.Bytes(tensor);
    char* const target = encoded.Bytes(*encoded.layout().Find(tensor.name));
    if (!IsEncoded(tensor, buffers)) {
      std::memcpy(target, source.data(), source.size());
      continue;
    }
    // The first of tied names comes first here as well: the order is that of names.
    if (const auto tie = ties.find(tensor.name); tie != ties.end()) {
      copy(tie->second, tensor.name);
      if (encoding == DeltaEncoding::kInt8) copy(ScalesName(tie->second), ScalesName(tensor.name));
      continue;
    }
    if (encoding == DeltaEncoding::kInt8) {
      char* const scales = encoded.Bytes(*encoded.layout().Find(ScalesName(tensor.name)));
      EncodeInt8(source.data(), tensor.element_count, &random, target, scales);
      continue;
    }
    for (int64_t i = 0; i < tensor.element_count; ++i) {
      const float value = FloatAt(source.data(), i);
      Put<uint16_t>(target, i,
                    encoding == DeltaEncoding::kFloat16 ? ToHalf(value, &random)
                                                        : ToBFloat16(value, &random));
    }
  }
  return encoded.file();
}

absl::Status DecodeDelta(const TensorSource& encoded, const WeightsLayout& expected,
                         const std::vector<std::string>& buffers, DeltaEncoding encoding,
                         const std::function<absl::Status(absl::string_view)>& sink) {
  const WeightsLayout& found = encoded.layout();
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout wanted,
                              EncodedLayout(expected, buffers, encoding));
  DISTILLERY_RETURN_IF_ERROR(CheckSameLayout(wanted, found));
  DISTILLERY_RETURN_IF_ERROR(sink(expected.Header()));
  std::string source;
  std::string scales;
  std::string piece;
  for (const TensorSpec& tensor : expected.tensors()) {
    const TensorSpec& values = *found.Find(tensor.name);
    if (encoding == DeltaEncoding::kFloat32 || !IsEncoded(tensor, buffers)) {
      DISTILLERY_RETURN_IF_ERROR(encoded.ForEachPiece(values, sink));
      continue;
    }
    const int64_t size = SpecOf(values.type).bytes;
    for (int64_t first = 0; first < tensor.element_count; first += kPieceElements) {
      const int64_t count = std::min(kPieceElements, tensor.element_count - first);
      source.resize(static_cast<size_t>(count * size));
      DISTILLERY_RETURN_IF_ERROR(encoded.Read(values, first * size, count * size, source.data()));
      if (encoding == DeltaEncoding::kInt8) {
        constexpr int64_t kScaleSize = sizeof(float);
        const int64_t bytes = BlockCount(count) * kScaleSize;
        scales.resize(static_cast<size_t>(bytes));
        DISTILLERY_RETURN_IF_ERROR(encoded.Read(*found.Find(ScalesName(tensor.name)),
                                                first / kScaleBlock * kScaleSize, bytes,
                                                scales.data()));
      }
      piece.resize(static_cast<size_t>(count) * sizeof(float));
      for (int64_t i = 0; i < count; ++i) {
        float value = 0;
        if (encoding == DeltaEncoding::kInt8) {
          value = static_cast<float>(static_cast<int8_t>(source[static_cast<size_t>(i)])) *
                  FloatAt(scales.data(), i / kScaleBlock);
        } else {
          uint16_t half = 0;
          std::memcpy(&half, source.data() + i * 2, sizeof(half));
          value = encoding == DeltaEncoding::kFloat16 ? HalfToFloat(half)
                                                      : FromBits(uint32_t{half} << 16);
        }
        if (!std::isfinite(value)) {
          return absl::InvalidArgumentError(
              absl::StrCat("weights: tensor \"", tensor.name, "\" holds NaN or infinity"));
        }
        SetFloat(piece.data(), i, value);
      }
      DISTILLERY_RETURN_IF_ERROR(sink(piece));
    }
  }
  return absl::OkStatus();
}

}  // namespace distillery
