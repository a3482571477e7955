// Models in the formats that other tools read, told apart by the file's ending:
//   .pt           TorchScript with its model card
//   .ptl          TorchScript for the mobile interpreter (_save_for_mobile), with its card
//   .safetensors  the weights alone, canonical
//   .onnx         ONNX, built-in architectures alone
// The two TorchScript formats also with int8 weights (common/nn/int8_weights.h).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/weights/weights.h"

namespace distillery {

struct ExportTarget {
  // Its ending names the format.
  std::string path;
  // With int8 weights, for .pt and .ptl.
  bool int8 = false;
};

struct ExportedFile {
  // The SHA-256 of the float32 weights, also of an int8 file; "" for a model that was frozen or
  // int8 before, whose weights have no names.
  std::string weights_sha256;
  int64_t byte_count = 0;
  // What the file would take with float32 weights; 0 unless it was made int8.
  int64_t float32_byte_count = 0;
};

// INVALID_ARGUMENT for an ending that is not known, with those that are, or that has no int8 form.
absl::Status CheckExportTarget(const ExportTarget& target);

struct StudentExport {
  // Built-in architecture; empty: the student is `file`, of SHA-256 `digest`.
  std::string architecture;
  std::string file;
  std::string digest;
  // The model card, JSON.
  std::string card;
  const Weights* weights = nullptr;
};

// FAILED_PRECONDITION if the weights are of another student; else as CheckExportTarget,
// BuildStudent and WithInt8Weights.
absl::StatusOr<ExportedFile> ExportStudentTo(const StudentExport& student,
                                             const ExportTarget& target);

// Any model file in another format. `card_path`: for a file that carries no card; "" otherwise.
// Errors as CheckExportTarget, LoadModel and WithInt8Weights; INVALID_ARGUMENT for a file of int8
// weights in a format that has none.
absl::StatusOr<ExportedFile> ExportModelFile(const std::string& model_path,
                                             const std::string& card_path,
                                             const ExportTarget& target);

// "int8: 102.3 KB, float32: 398.4 KB", of a file that was made int8.
std::string DescribeSizes(const ExportedFile& file);

}  // namespace distillery
