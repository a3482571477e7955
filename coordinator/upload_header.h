// The upload of a task's result, before its bytes come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/run/task.h"
#include "common/weights/delta_encoding.h"

namespace distillery {

// What comes before the bytes; see DeltaHeader in coordinator_service.proto.
struct UploadHeader {
  std::string request_id;
  Lease lease;
  int64_t byte_count = 0;
  TrainMetrics metrics;
  std::vector<std::string> buffer_names;
  std::string teacher_digest;
  std::string dataset_digest;
  std::string model_card;
  std::string delta_encoding;
  std::vector<int64_t> samples_per_shard;
};

// What is to be done with the bytes.
struct UploadPlan {
  // This result is recorded already: drop the bytes, answer "duplicate".
  bool duplicate = false;
  // Where to write what comes in, and the decoded delta.
  std::string incoming_path;
  std::string decoded_path;
  DeltaEncoding encoding = DeltaEncoding::kFloat32;
  // It must have the layout of the run's weights; which of its tensors are buffers.
  bool has_layout = false;
  std::vector<std::string> buffer_names;
};

}  // namespace distillery
