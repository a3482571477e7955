// Models in the formats that other tools read, told apart by the file's ending:
//   .pt           TorchScript with its model card
//   .ptl          TorchScript for the mobile interpreter (_save_for_mobile), with its card
//   .safetensors  the weights alone, canonical
//   .onnx         ONNX, built-in architectures alone
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

// INVALID_ARGUMENT, with the endings known, for any other.
absl::Status CheckExportPath(const std::string& path);

struct StudentExport {
  // Built-in architecture; empty: the student is `file`, of SHA-256 `digest`.
  std::string architecture;
  std::string file;
  std::string digest;
  // The model card, JSON.
  std::string card;
  const Weights* weights = nullptr;
};

// FAILED_PRECONDITION if the weights are of another student; else as CheckExportPath and BuildStudent.
absl::Status ExportStudentTo(const StudentExport& student, const std::string& path);

// Any model file in another format; returns the SHA-256 of its weights. `card_path`: for a file that
// carries no card; "" otherwise. Errors as LoadModel.
absl::StatusOr<std::string> ExportModelFile(const std::string& model_path,
                                            const std::string& card_path,
                                            const std::string& path);

}  // namespace distillery
