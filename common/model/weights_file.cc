#include "common/model/weights_file.h"

#include <torch/script.h>

#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/model/module_weights.h"
#include "common/model/numerics.h"

namespace distillery {

absl::StatusOr<Weights> ReadWeights(const std::string& path) {
  constexpr int64_t kMaxBytes = int64_t{16} << 30;
  if (absl::EndsWith(path, ".safetensors")) {
    DISTILLERY_ASSIGN_OR_RETURN(std::string file, ReadFile(path, kMaxBytes));
    absl::StatusOr<Weights> weights = Weights::FromFile(std::move(file));
    if (!weights.ok()) return Annotate(weights.status(), path);
    return weights;
  }
  // Not by LibTorch, which would wait for ever at a pipe.
  DISTILLERY_ASSIGN_OR_RETURN(std::string file, ReadFile(path, kMaxBytes));
  absl::StatusOr<Weights> weights = absl::InternalError("not read");
  const absl::Status status = CatchTorchErrors([&] {
    std::istringstream stream(std::move(file));
    weights = WeightsOf(torch::jit::load(stream, at::kCPU));
    return absl::OkStatus();
  });
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is neither .safetensors nor TorchScript: ", status.message()));
  }
  return weights;
}

}  // namespace distillery
