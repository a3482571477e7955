// Asks a model about the samples of a split.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/models/corruption.h"
#include "cli/models/split_logits.h"
#include "common/data/dataset.h"

namespace distillery {

struct LogitQuestion {
  // TorchScript, and a card (JSON) if it carries none, else "".
  std::string model_path;
  std::string card_path;
  // Rows of the data set; empty: all.
  std::vector<int64_t> rows;
  // Null: the images as they are stored.
  PixelChange change;
};

// Errors of LoadModel and Dataset::ReadRecords; INVALID_ARGUMENT if the model does not fit the
// data; CANCELLED after a stop signal.
absl::StatusOr<SplitLogits> ComputeLogits(const LogitQuestion& question, const Dataset& dataset);

}  // namespace distillery
