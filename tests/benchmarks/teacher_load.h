// Load for a teacher service over loopback, as its clients make it: streams of shards that nobody
// asked for before, and queries.
//
// Threads: one; each call starts what it needs and joins it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

class TeacherLoad {
 public:
  struct Options {
    // "127.0.0.1:PORT" of a service with one model for images of that shape.
    std::string address;
    ImageShape shape{1, 28, 28};
    // Its data set, in shards of so many rows.
    std::string dataset;
    int64_t shard_rows = 0;
    int64_t shard_count = 0;
    // What is asked for: z/T in float32, or with top_k > 0 the top-k encoding.
    int64_t top_k = 0;
  };
  explicit TeacherLoad(Options options) : options_(std::move(options)) {}

  // The service loads its model after it listens. UNAVAILABLE if it takes longer than a minute.
  absl::Status AwaitModel() const;

  // Each: about `seconds`, until all that was asked for is there. Errors of the calls.
  // Rows of `count` workers' streams, each over a connection of its own, one shard after the other,
  // each of a view that is new.
  absl::StatusOr<int64_t> Stream(int count, double seconds);
  // Rows of `clients` that ask for `rows` at a time, each over a connection of its own. Pixels are
  // float32, or bytes.
  absl::StatusOr<int64_t> Query(int clients, int64_t rows, bool bytes, double seconds);
  // Seconds that each query of one row took, one after the other; beside streams if so wanted.
  absl::StatusOr<std::vector<double>> Latencies(bool beside_stream, double seconds);

 private:
  const Options options_;
  // Streams so far.
  std::atomic<int64_t> streams_{0};
};

}  // namespace distillery
