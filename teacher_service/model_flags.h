// --model NAME=FILE,key=value,...: which models a service loads, and how.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

struct ModelFlag {
  std::string name;
  std::string path;
  // Model card (JSON) for a file that carries none; empty: its own.
  std::string card_path;
  std::string device = "cpu";
  std::string precision = "float32";
  int64_t batch_rows = 256;
  // 0: TorchTeacherOptions' choice for the device.
  int64_t max_batch_rows = 0;
};

// Reads "FILE", "NAME=FILE" or "NAME=FILE,device=cpu,precision=float32,batch_rows=256,
// max_batch_rows=1024,card=FILE"; what is not said is as in `defaults`, and the name is the file's
// without folder and ending. INVALID_ARGUMENT for an unknown key (with the nearest one), a number out
// of range or an empty file.
absl::StatusOr<ModelFlag> ParseModelFlag(const std::string& text, const ModelFlag& defaults);

}  // namespace distillery
