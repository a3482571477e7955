#include "common/weights/optimizer_state.h"

#include <cstring>
#include <functional>

#include "absl/strings/match.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

bool IsState(const TensorSpec& tensor) { return absl::StartsWith(tensor.name, "optimizer/"); }

void CopyInto(const Weights& source, Weights* target) {
  for (const TensorSpec& tensor : target->layout().tensors()) {
    const TensorSpec* const from = source.layout().Find(tensor.name);
    if (from == nullptr) continue;
    const absl::string_view bytes = source.Bytes(*from);
    std::memcpy(target->Bytes(tensor), bytes.data(), bytes.size());
  }
}

Weights Part(const Weights& weights, bool state) {
  std::vector<TensorSpec> kept;
  for (const TensorSpec& tensor : weights.layout().tensors()) {
    if (IsState(tensor) == state) kept.push_back(tensor);
  }
  // A part of a valid layout is one.
  Weights part(*WeightsLayout::Create(std::move(kept)));
  CopyInto(weights, &part);
  return part;
}

}  // namespace

absl::StatusOr<Weights> WithOptimizerState(const Weights& model, const Weights& state) {
  std::vector<TensorSpec> tensors = model.layout().tensors();
  tensors.insert(tensors.end(), state.layout().tensors().begin(), state.layout().tensors().end());
  DISTILLERY_ASSIGN_OR_RETURN(WeightsLayout layout, WeightsLayout::Create(std::move(tensors)));
  Weights all(std::move(layout));
  CopyInto(model, &all);
  CopyInto(state, &all);
  return all;
}

Weights ModelPart(const Weights& weights) { return Part(weights, false); }
Weights OptimizerPart(const Weights& weights) { return Part(weights, true); }

}  // namespace distillery
