#include "cli/runs/run_inputs.h"

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

std::string Compare(const char* what, const std::string& bound, const std::string& present) {
  if (bound.empty() || present.empty() || bound == present) return "";
  return absl::StrCat("it is of ", what, " digest ", bound, ", there is ", present, " now");
}

}  // namespace

absl::Status RunInputs::Check(const RunSpec& spec) const {
  const std::string& named = spec.teacher.digest;
  if (!spec.needs_teacher() || named.empty() || teacher_digest_.empty() ||
      named == teacher_digest_) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "teacher.digest is ", named, ", but the teacher that there is has ", teacher_digest_,
      ": give the teacher that is meant, or leave teacher.digest out"));
}

std::string RunInputs::Difference(const v1::Run& run) const {
  std::string difference = Compare("teacher", run.teacher_digest(), teacher_digest_);
  if (!difference.empty() || run.dataset_digest().empty()) return difference;
  const v1::RunDataset& data = run.spec().dataset();
  const auto dataset = datasets_->Open({data.name(), data.train_split(), data.shard_size()});
  return dataset.ok() ? Compare("data set", run.dataset_digest(), (*dataset)->digest()) : "";
}

}  // namespace distillery
