// Weights kept open while they are sent.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/broadcast.h"

namespace distillery {

// Weights that were uploaded have the file alone.
struct WeightsFile {
  // "": uploaded ones.
  std::string run_id;
  std::shared_ptr<const BroadcastFile> file;
  // The SHA-256 of the file, and of the float32 weights in it, perhaps in another encoding.
  std::string sha256;
  std::string weights_sha256;
  int64_t round = 0;
  std::vector<std::string> buffer_names;
  std::string model_card;
};

}  // namespace distillery
