#include "common/weights/weights.h"

#include <cstring>

#include "common/base/checksum.h"
#include "common/base/status_macros.h"

namespace distillery {

Weights::Weights(WeightsLayout layout) : layout_(std::move(layout)), file_(layout_.Header()) {
  // One byte beyond keeps Bytes() of an empty last tensor in range.
  file_.reserve(static_cast<size_t>(layout_.file_size()) + 1);
  file_.resize(static_cast<size_t>(layout_.file_size()), '\0');
}

absl::StatusOr<Weights> Weights::FromFile(std::string file) {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsLayout found, WeightsLayout::Parse(file));
  DISTILLERY_ASSIGN_OR_RETURN(WeightsLayout canonical, WeightsLayout::Create(found.tensors()));
  Weights weights(std::move(canonical));
  for (const TensorSpec& tensor : weights.layout_.tensors()) {
    const TensorSpec* const source = found.Find(tensor.name);
    std::memcpy(weights.Bytes(tensor), file.data() + found.data_start() + source->offset,
                static_cast<size_t>(tensor.byte_count));
  }
  return weights;
}

std::string Weights::Sha256() const { return Sha256Hex(file_); }

}  // namespace distillery
