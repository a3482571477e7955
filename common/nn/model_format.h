// Finds out by its content what a file is that somebody wants to use as a model: its name may be
// wrong.
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
    // A format that is not read here.
    kOther
  };
  Kind kind = Kind::kOther;
  // "a state_dict: weights without code".
  std::string what;
  // How to make a model file of it: a sentence without its full stop.
  std::string way_out;
};

// Looks at the first bytes, and at the list of contents of a zip archive.
ModelFormat FormatOf(absl::string_view bytes);

// OK if every part of a zip archive matches its checksum, and for bytes that are no archive.
// INVALID_ARGUMENT names `path` and the part.
absl::Status CheckUndamaged(const std::string& path, absl::string_view bytes);

// INVALID_ARGUMENT that says that `path` is not `wanted` ("a TorchScript model"), what it is, and
// the way out.
absl::Status OtherFormat(const std::string& path, const std::string& wanted,
                         const ModelFormat& format);

}  // namespace distillery
