#include "cli/run_inputs.h"

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

std::string Compare(const char* what, const std::string& bound, const std::string& present) {
  if (bound.empty() || present.empty() || bound == present) return "";
  return absl::StrCat("it is of ", what, " digest ", bound, ", there is ", present, " now");
}

}  // namespace

std::string RunInputs::Difference(const v1::Run& run) const {
  std::string difference = Compare("teacher", run.teacher_digest(), teacher_digest_);
  if (!difference.empty() || run.dataset_digest().empty()) return difference;
  const v1::RunDataset& data = run.spec().dataset();
  const auto dataset =
      datasets_->Open({data.name(), data.train_split(), data.shard_size()});
  return dataset.ok() ? Compare("data set", run.dataset_digest(), (*dataset)->digest()) : "";
}

}  // namespace distillery
