// MNIST's four files from public mirrors, checked by SHA-256.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace distillery {

// Nothing to do if `data_dir` holds MNIST (as DatasetCatalog looks for it); else downloads into
// DATA_DIR/mnist, saying so on standard error. A file is only kept when the SHA-256 of what it
// unpacks to is MNIST's. UNAVAILABLE without a network, with the way out; DATA_LOSS if every
// mirror's file differs; CANCELLED after a stop signal.
absl::Status EnsureMnist(const std::string& data_dir);

}  // namespace distillery
