// What a worker says of itself besides its numerics.
#pragma once

#include <cstdint>
#include <string>

namespace distillery {

struct WorkerFacts {
  // Name in the certificate with which it registers; "" without one.
  std::string certificate;
  // Memory that it may use; 0: not known.
  int64_t memory_bytes = 0;
};

}  // namespace distillery
