// The entry point of a libFuzzer target: define TestOneInput, then FUZZ_TARGET.
#pragma once

#include <spdlog/spdlog.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/logging.h"

namespace distillery {

// What must hold whatever the input is.
inline void Require(bool holds) {
  if (!holds) abort();
}

// The first byte of the input, which chooses among several readers, and the rest.
inline uint8_t TakeByte(absl::string_view* bytes) {
  if (bytes->empty()) return 0;
  const auto first = static_cast<uint8_t>(bytes->front());
  bytes->remove_prefix(1);
  return first;
}

}  // namespace distillery

#define DISTILLERY_FUZZ_TARGET(TestOneInput)                                    \
  extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {        \
    spdlog::set_level(spdlog::level::off);                                      \
    return 0;                                                                   \
  }                                                                             \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {     \
    TestOneInput(absl::string_view(reinterpret_cast<const char*>(data), size)); \
    return 0;                                                                   \
  }
