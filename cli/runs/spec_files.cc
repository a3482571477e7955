#include "cli/runs/spec_files.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {

std::string BesideSpec(const std::string& spec_path, const std::string& path) {
  return absl::StartsWith(path, "/") ? path : absl::StrCat(FolderOf(spec_path), "/", path);
}

absl::Status ResolveStudent(const std::string& spec_path, RunSpec* spec) {
  constexpr int64_t kMaxModelBytes = int64_t{16} << 30;
  auto& student = spec->student;
  if (!student.initial_weights.empty()) {
    student.initial_weights = BesideSpec(spec_path, student.initial_weights);
  }
  if (student.model.empty()) return absl::OkStatus();
  student.model = BesideSpec(spec_path, student.model);
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(student.model, kMaxModelBytes));
  const std::string digest = Sha256Hex(bytes);
  if (!student.digest.empty() && student.digest != digest) {
    return absl::InvalidArgumentError(absl::StrCat(spec_path, ": student.digest is ",
                                                   student.digest, ", but ", student.model, " has ",
                                                   digest));
  }
  student.digest = digest;
  return absl::OkStatus();
}

}  // namespace distillery
