// The served side of cached_stream, in a process of its own: our teacher service over data sets of
// the wanted numbers of classes with a cache on disk, and bare gRPC streams of the same bytes on
// another port.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace distillery {

// One number of classes and the data set made for it.
struct StreamCase {
  int64_t classes = 0;
  // Rows of a shard, and shards of the training split.
  int64_t shard_rows = 0;
  int64_t shard_count = 0;

  // The name of model and data set alike.
  std::string name() const { return "classes" + std::to_string(classes); }
  int64_t shard_bytes() const { return shard_rows * classes * 4; }
};

// Shards of up to `shard_bytes` of float32 logits and 65,536 rows; at least 16 MiB of them.
StreamCase MakeStreamCase(int64_t classes, int64_t shard_bytes);

struct StreamServerOptions {
  // Gets data/ and cache/, and bare.address.
  std::string folder;
  // Written last.
  std::string address_file;
  std::vector<StreamCase> cases;
};

// Serves until a stop signal.
//
// A bare stream takes a StreamSoftTargetsRequest with other meanings: `shard` is the bytes of a
// message, `start_row` the bytes in all, `include_samples` whether messages walk through as much
// memory as they send rather than repeat one buffer.
absl::Status ServeStreams(const StreamServerOptions& options);

}  // namespace distillery
