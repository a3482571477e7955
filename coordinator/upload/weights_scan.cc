#include "coordinator/upload/weights_scan.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// IEEE formats are not finite exactly when all exponent bits are set. Without a branch on the
// values, so that compilers use vectors.
template <typename Bits>
bool AllFinite(absl::string_view bytes, Bits exponent) {
  Bits bad = 0;
  for (size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits value;
    std::memcpy(&value, bytes.data() + at, sizeof(Bits));
    bad = static_cast<Bits>(bad | static_cast<Bits>((value & exponent) == exponent ? 1 : 0));
  }
  return bad == 0;
}

bool AllFinite(ElementType type, absl::string_view bytes) {
  switch (type) {
    case ElementType::kFloat32:
      return AllFinite<uint32_t>(bytes, 0x7F800000U);
    case ElementType::kFloat64:
      return AllFinite<uint64_t>(bytes, 0x7FF0000000000000U);
    case ElementType::kFloat16:
      return AllFinite<uint16_t>(bytes, 0x7C00U);
    case ElementType::kBFloat16:
      return AllFinite<uint16_t>(bytes, 0x7F80U);
    default:
      return true;
  }
}

absl::Status NotFinite(const std::string& tensor) {
  return absl::InvalidArgumentError(
      absl::StrCat("weights: tensor \"", tensor, "\" holds NaN or infinity"));
}

}  // namespace

void WeightsScan::Update(absl::string_view bytes) {
  digest_.Update(bytes);
  int64_t at = position_;
  position_ += static_cast<int64_t>(bytes.size());
  while (bad_tensor_.empty() && tensor_ < layout_.tensors().size()) {
    const TensorSpec& tensor = layout_.tensors()[tensor_];
    const int64_t start = layout_.data_start() + tensor.offset;
    const int64_t end = start + tensor.byte_count;
    if (position_ < start || (position_ == start && tensor.byte_count > 0)) return;
    const int64_t first = std::max(at, start);
    const int64_t last = std::min(position_, end);
    absl::string_view data = bytes.substr(static_cast<size_t>(first - at),
                                          static_cast<size_t>(std::max<int64_t>(0, last - first)));
    const auto size = static_cast<size_t>(SpecOf(tensor.type).bytes);
    bool finite = true;
    if (!part_.empty()) {
      const size_t missing = std::min(size - part_.size(), data.size());
      part_.append(data.data(), missing);
      data.remove_prefix(missing);
      if (part_.size() == size) {
        finite = AllFinite(tensor.type, part_);
        part_.clear();
      }
    }
    finite = finite && AllFinite(tensor.type, data);
    const size_t left = data.size() % size;
    part_.append(data.data() + data.size() - left, left);
    if (!finite) bad_tensor_ = tensor.name;
    if (last < end) return;
    ++tensor_;
    bytes.remove_prefix(static_cast<size_t>(last - at));
    at = last;
  }
}

absl::Status WeightsScan::finite() const {
  return bad_tensor_.empty() ? absl::OkStatus() : NotFinite(bad_tensor_);
}

absl::Status CheckFinite(const TensorSource& weights) {
  for (const TensorSpec& tensor : weights.layout().tensors()) {
    DISTILLERY_RETURN_IF_ERROR(weights.ForEachPiece(tensor, [&](absl::string_view piece) {
      return AllFinite(tensor.type, piece) ? absl::OkStatus() : NotFinite(tensor.name);
    }));
  }
  return absl::OkStatus();
}

}  // namespace distillery
