// A teacher that is a TorchScript model on this machine, in eval and inference mode.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

class DeviceRuntime;

struct TorchTeacherOptions {
  // Its name in requests.
  std::string name;
  // TorchScript, or a package of compiled_model.h; its content tells which.
  std::string model_path;
  // For model files that carry no card.
  std::optional<ModelCard> card;
  // Rows of a shard that are computed together; part of the digest.
  int64_t batch_rows = 256;
  // Most rows of ad-hoc inputs that are computed together; 0: 256 on a CPU, whose caches larger
  // batches leave (5 times slower at 1,024 for a LeNet), 1,024 on a GPU.
  int64_t max_batch_rows = 0;
  // Threads of LibTorch and OpenBLAS inside one operation; part of the digest. The same in all that
  // computes in this process (numerics.h).
  int64_t compute_threads = 1;
  // "cpu", "cuda" or "cuda:1". Its kind and the card's name are part of the digest.
  std::string device = "cpu";
  // What "cuda" means; null: what LibTorch sees. Must outlive the teacher.
  DeviceRuntime* devices = nullptr;
  // "float32", "bfloat16" or "float16" (CUDA alone): the type to which parameters and buffers that
  // are floating-point numbers are turned. Empty: the model stays as its file holds it. The type in
  // which it is computed is part of the digest.
  std::string precision;
  // On CUDA, launch a forward pass as one CUDA graph, at padded sizes; part of the digest. For
  // models whose time goes into launching many small kernels, and whose code does not depend on its
  // inputs.
  bool cuda_graphs = false;
  // Round logits to float16, as a float16 cache stores them; part of the digest.
  bool half_logits = false;
};

// Loads, probes on its device (model_probe.h) and warms up. Errors as ReadModel (model_file.h) and
// ProbeModule; INVALID_ARGUMENT for an unknown device or
// precision; FAILED_PRECONDITION for a device that is not there.
absl::StatusOr<std::unique_ptr<Teacher>> LoadTorchTeacher(const TorchTeacherOptions& options);

}  // namespace distillery
