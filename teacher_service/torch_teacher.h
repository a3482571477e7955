// A teacher that is a TorchScript model on this machine, in eval and inference mode.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "teacher_service/teacher.h"

namespace distillery {

struct TorchTeacherOptions {
  std::string model_path;
  // For model files that carry no card.
  std::optional<ModelCard> card;
  int64_t batch_rows = 256;
  // LibTorch threads inside one operation; part of the digest.
  int64_t compute_threads = 1;
};

// Loads and warms up. Errors as LoadModel (model_file.h).
absl::StatusOr<std::unique_ptr<Teacher>> LoadTorchTeacher(const TorchTeacherOptions& options);

}  // namespace distillery
