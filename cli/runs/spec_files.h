// The files that a RunSpec names: paths in it are relative to the file that it was read from.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/run/run_spec.h"

namespace distillery {

std::string BesideSpec(const std::string& spec_path, const std::string& path);

// Makes the paths of the student's files whole. If the student is a file: sets its digest, by which
// workers know it.
// INVALID_ARGUMENT if a digest in the spec differs from the file's; NOT_FOUND for a missing file.
absl::Status ResolveStudent(const std::string& spec_path, RunSpec* spec);

}  // namespace distillery
