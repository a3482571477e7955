// Which samples of a data set a run trains on, and which label each has: a pure function of the
// RunSpec and the data. Shards stay what they are, so that runs with unlike selections share the
// teacher's cache.
//
// In this order: samples of exclude_classes are left out; of the rest sample_fraction is kept; of
// those label_noise get the label of another class; and `labels` keep their label, the others learn
// from the teacher alone (without a teacher they are left out). Each part is a rounded number of
// samples, drawn by (seed, purpose), at least one where the part is above 0.
//
// Threads: immutable, safe for all.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/run/run_spec.h"

namespace distillery {

class SampleSelection {
 public:
  // What Label says of a sample without label: LibTorch's cross entropy leaves it out.
  static constexpr int32_t kNoLabel = -100;

  // INVALID_ARGUMENT: a class that the data does not have, nothing is left, or CheckFitsAnswers.
  // `dataset` must outlive this. REQUIRES: a valid spec.
  static absl::StatusOr<SampleSelection> Create(const RunSpec& spec, const Dataset& dataset);

  bool Selected(int64_t row) const {
    return selected_.empty() || selected_[static_cast<size_t>(row)];
  }
  // The class that the student is taught, or kNoLabel. REQUIRES: Selected(row).
  int32_t Label(int64_t row) const;
  // Selected samples of each shard.
  const std::vector<int64_t>& shard_sizes() const { return shard_sizes_; }
  int64_t size() const { return size_; }

 private:
  explicit SampleSelection(const Dataset& dataset) : dataset_(&dataset) {}
  // Sets the flag of a `part` of the rows that are selected.
  std::vector<bool> Draw(int64_t seed, const char* purpose, double part) const;
  void Count();

  const Dataset* dataset_;
  int64_t seed_ = 0;
  int64_t size_ = 0;
  // By row; empty: all selected, none noisy, all labelled.
  std::vector<bool> selected_;
  std::vector<bool> noisy_;
  std::vector<bool> labelled_;
  std::vector<int64_t> shard_sizes_;
};

}  // namespace distillery
