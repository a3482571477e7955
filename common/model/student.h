// Students as modules: a built-in architecture, or somebody's TorchScript file.
#pragma once

#include <torch/script.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/model/card.h"

namespace distillery {

struct StudentSource {
  // See architecture.h; empty if the student is a file.
  std::string architecture;
  std::string file;
  // SHA-256 (hex) that the file must have; empty: any.
  std::string digest;
};

// A module in training mode: seeded (without a seed as it comes, for a caller that loads weights), or
// with the weights that the file holds. `card` is the data's
// and replaces one in the file. INVALID_ARGUMENT for an architecture or file that does not fit the
// card, for a frozen or int8 module (it has nothing to train), or one that gives probabilities;
// FAILED_PRECONDITION for another digest.
absl::StatusOr<torch::jit::Module> BuildStudent(const StudentSource& source, const ModelCard& card,
                                                std::optional<int64_t> seed);

}  // namespace distillery
