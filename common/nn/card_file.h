// The card that a model file carries, without loading the model.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/card.h"

namespace distillery {

// Nothing if the file carries no card, as safetensors files never do. NOT_FOUND for a missing file;
// INVALID_ARGUMENT for a card that cannot be read.
absl::StatusOr<std::optional<ModelCard>> ReadCardOf(const std::string& path);

}  // namespace distillery
