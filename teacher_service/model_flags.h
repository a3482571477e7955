// --model NAME=FILE,key=value,...: which models a service loads, and how.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace distillery {

struct ModelFlag {
  std::string name;
  std::string path;
  // Model card (JSON) for a file that carries none; empty: its own.
  std::string card_path;
  // At least one; each gets a copy of the model.
  std::vector<std::string> devices = {"cpu"};
  // As TorchTeacherOptions::precision.
  std::string precision;
  int64_t batch_rows = 256;
  // 0: TorchTeacherOptions' choice for the device.
  int64_t max_batch_rows = 0;
};

// Reads "FILE", "NAME=FILE" or "NAME=FILE,device=cpu,precision=bfloat16,batch_rows=256,
// max_batch_rows=1024,card=FILE", where device may be several, as in cuda:0+cuda:1. What is not
// said is as in `defaults`, and the name is the file's without folder and ending. INVALID_ARGUMENT
// for an unknown key (with the nearest one), a number out of range, a device twice or an empty
// file.
absl::StatusOr<ModelFlag> ParseModelFlag(const std::string& text, const ModelFlag& defaults);

// Reads "cuda:0,cuda:1", with that separator, and leaves it to LibTorch whether they are there.
// INVALID_ARGUMENT for an empty name or one that comes twice ("cuda" is "cuda:0").
absl::StatusOr<std::vector<std::string>> ParseDevices(const std::string& text, char separator);

// Batches that a service shall compute at once: four for each GPU that its models name, so that
// some are read and copied while others are computed, and at least `cores` if one of them names the
// CPU.
int DefaultComputeSlots(const std::vector<ModelFlag>& models, int cores);

}  // namespace distillery
