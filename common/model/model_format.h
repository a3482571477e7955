// What a file that shall be a model is, told by its content: its ending says what somebody meant.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

struct ModelFormat {
  enum class Kind {
    kTorchScript,
    // An AOTInductor package (compiled_model.h).
    kCompiled,
    kSafetensors,
    // None that is read here.
    kOther
  };
  Kind kind = Kind::kOther;
  // "a state_dict: weights without code".
  std::string what;
  // How a model file comes of it: a sentence without its full stop.
  std::string way_out;
};

// Looks at the first bytes, and at the list of contents of a zip archive.
ModelFormat FormatOf(absl::string_view bytes);

// OK if every part of a zip archive has its checksum, and for what is no archive. INVALID_ARGUMENT
// names `path` and the part.
absl::Status CheckUndamaged(const std::string& path, absl::string_view bytes);

// INVALID_ARGUMENT: `path` is not `wanted` ("a TorchScript model"), but what it is, with the way out.
absl::Status OtherFormat(const std::string& path, const std::string& wanted,
                         const ModelFormat& format);

}  // namespace distillery
