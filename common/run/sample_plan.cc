#include "common/run/sample_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/run/replica_plan.h"

namespace distillery {

SamplePlan::SamplePlan(const RunSpec& spec)
    : seed_(spec.seed),
      replicas_(spec.training.replicas),
      local_epochs_(spec.training.local_epochs),
      local_steps_(spec.training.local_steps),
      batch_size_(spec.training.batch_size) {}

absl::StatusOr<SamplePlan> SamplePlan::Create(const RunSpec& spec,
                                              std::vector<int64_t> shard_sizes) {
  SamplePlan plan(spec);
  if (shard_sizes.empty() && plan.local_steps_ > 0) return plan;
  if (shard_sizes.empty()) {
    return absl::InvalidArgumentError(
        "samples_per_shard is missing, by which epochs are counted: the worker is of an older "
        "version, update it");
  }
  if (static_cast<int64_t>(shard_sizes.size()) > kMostShards) {
    return absl::InvalidArgumentError(absl::StrCat("samples_per_shard: ", shard_sizes.size(),
                                                   " shards, a run has at most ", kMostShards,
                                                   ": raise dataset.shard_size"));
  }
  for (const int64_t size : shard_sizes) {
    if (size < 0 || size > spec.dataset.shard_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("samples_per_shard: must be 0 to dataset.shard_size (",
                       spec.dataset.shard_size, "), got ", size));
    }
    if (size > 0) plan.filled_sizes_.push_back(size);
  }
  DISTILLERY_RETURN_IF_ERROR(
      CheckShardCount(spec, static_cast<int64_t>(plan.filled_sizes_.size())));
  plan.even_ = std::all_of(plan.filled_sizes_.begin(), plan.filled_sizes_.end(),
                           [&](int64_t size) { return size == plan.filled_sizes_.front(); });
  plan.shard_sizes_ = std::move(shard_sizes);
  return plan;
}

int64_t SamplePlan::SampleCount(int64_t round, int64_t replica) const {
  return TrainedSampleCount(PlannedCount(round, replica), batch_size_);
}

int64_t SamplePlan::PlannedCount(int64_t round, int64_t replica) const {
  // The stream of a replica has no end.
  if (local_steps_ > 0) return local_steps_ * batch_size_;
  const auto shards = static_cast<int64_t>(filled_sizes_.size());
  if (even_) {
    const int64_t of_replica = (shards - replica + replicas_ - 1) / replicas_;
    return local_epochs_ * of_replica * filled_sizes_.front();
  }
  // As PlanReplica deals them, without the list of them: there may be very many.
  int64_t count = 0;
  for (int64_t epoch = round * local_epochs_; epoch < (round + 1) * local_epochs_; ++epoch) {
    const std::vector<int64_t> order =
        Permutation(shards, RandomStream(seed_, "shard-order", static_cast<uint64_t>(epoch)));
    for (int64_t i = replica; i < shards; i += replicas_) {
      count += filled_sizes_[static_cast<size_t>(order[static_cast<size_t>(i)])];
    }
  }
  return count;
}

std::string ShardSizesToText(const std::vector<int64_t>& sizes) {
  std::string text;
  for (size_t i = 0; i < sizes.size();) {
    size_t end = i;
    while (end < sizes.size() && sizes[end] == sizes[i]) ++end;
    absl::StrAppend(&text, text.empty() ? "" : ",", sizes[i]);
    if (end - i > 1) absl::StrAppend(&text, "*", end - i);
    i = end;
  }
  return text;
}

absl::StatusOr<std::vector<int64_t>> ShardSizesFromText(const std::string& text) {
  std::vector<int64_t> sizes;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('*', 1));
    int64_t size = 0;
    int64_t times = 1;
    if (!absl::SimpleAtoi(pair.first, &size) ||
        (!pair.second.empty() && !absl::SimpleAtoi(pair.second, &times)) || size < 0 || times < 1 ||
        times > SamplePlan::kMostShards - static_cast<int64_t>(sizes.size())) {
      return absl::DataLossError(absl::StrCat("sizes of shards: \"", part, "\" is none"));
    }
    sizes.insert(sizes.end(), static_cast<size_t>(times), size);
  }
  return sizes;
}

}  // namespace distillery
