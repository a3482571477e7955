#include "common/run/sample_selection.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/run/answer_check.h"

namespace distillery {

absl::StatusOr<SampleSelection> SampleSelection::Create(const RunSpec& spec,
                                                        const Dataset& dataset) {
  DISTILLERY_RETURN_IF_ERROR(CheckFitsAnswers(spec, dataset.spec().answer));
  SampleSelection selection(dataset);
  selection.seed_ = spec.seed;
  const std::vector<int64_t>& excluded = spec.dataset.exclude_classes;
  for (const int64_t excluded_class : excluded) {
    if (excluded_class >= dataset.class_count()) {
      return absl::InvalidArgumentError(
          absl::StrCat("dataset.exclude_classes names class ", excluded_class, ", data set ",
                       dataset.reference().name, " has classes 0 to ", dataset.class_count() - 1));
    }
  }
  if (!excluded.empty()) {
    // There may be as many classes as rows.
    std::vector<int64_t> sorted = excluded;
    std::sort(sorted.begin(), sorted.end());
    selection.selected_.resize(static_cast<size_t>(dataset.size()));
    for (int64_t row = 0; row < dataset.size(); ++row) {
      selection.selected_[static_cast<size_t>(row)] =
          !std::binary_search(sorted.begin(), sorted.end(), dataset.Label(row));
    }
  }
  selection.Count();
  const double kept = spec.dataset.sample_fraction;
  // A spec that was read from YAML may hold the 0 that stands for 1.
  if (kept > 0 && kept < 1) {
    selection.selected_ = selection.Draw(spec.seed, "sample-fraction", kept);
    selection.Count();
  }
  if (selection.size_ > 0 && spec.dataset.label_noise > 0 && dataset.class_count() > 1) {
    selection.noisy_ = selection.Draw(spec.seed, "label-noise", spec.dataset.label_noise);
  }
  const double labelled = spec.labelled_fraction();
  if (selection.size_ > 0 && labelled < 1) {
    selection.labelled_ = selection.Draw(spec.seed, "labelled", labelled);
    if (!spec.needs_teacher()) {
      selection.selected_ = selection.labelled_;
      selection.Count();
    }
  }
  if (selection.size_ == 0) {
    return absl::InvalidArgumentError(absl::StrCat("dataset.exclude_classes leaves no sample of ",
                                                   dataset.reference().name, "/",
                                                   dataset.reference().split));
  }
  return selection;
}

std::vector<bool> SampleSelection::Draw(int64_t seed, const char* purpose, double part) const {
  std::vector<bool> drawn(static_cast<size_t>(dataset_->size()), false);
  if (part <= 0 || size_ == 0) return drawn;
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(size_));
  for (int64_t row = 0; row < dataset_->size(); ++row) {
    if (Selected(row)) rows.push_back(row);
  }
  const int64_t count = std::max<int64_t>(1, std::llround(part * static_cast<double>(rows.size())));
  const std::vector<int64_t> order = Permutation(size_, RandomStream(seed, purpose));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = rows[static_cast<size_t>(order[static_cast<size_t>(i)])];
    drawn[static_cast<size_t>(row)] = true;
  }
  return drawn;
}

int32_t SampleSelection::Label(int64_t row) const {
  const auto at = static_cast<size_t>(row);
  if (!labelled_.empty() && !labelled_[at]) return kNoLabel;
  const int32_t label = dataset_->Label(row);
  if (noisy_.empty() || !noisy_[at]) return label;
  RandomStream stream(seed_, "noisy-label", static_cast<uint64_t>(dataset_->StoredIndex(row)));
  const auto other =
      static_cast<int32_t>(stream.Below(static_cast<uint64_t>(dataset_->class_count() - 1)));
  return other < label ? other : other + 1;
}

void SampleSelection::Count() {
  size_ = 0;
  shard_sizes_.clear();
  for (int64_t shard = 0; shard < dataset_->shard_count(); ++shard) {
    const RowRange rows = *dataset_->Shard(shard);
    int64_t count = rows.count;
    if (!selected_.empty()) {
      const auto first = selected_.begin() + rows.first;
      count = std::count(first, first + rows.count, true);
    }
    shard_sizes_.push_back(count);
    size_ += count;
  }
}

}  // namespace distillery
