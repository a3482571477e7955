// Soft targets without a teacher.
#pragma once

#include <functional>
#include <vector>

#include "student_worker/soft_target_source.h"

namespace distillery {

// z[row, c] = (5 if c is the row's label, else 0) + small known noise, over T.
// Threads: as SoftTargetSource; the public members are for one thread at a time.
class FakeSource : public SoftTargetSource {
 public:
  explicit FakeSource(const Dataset* dataset) : dataset_(dataset) {}

  absl::Status ReadShard(ShardRequest* request, const CancelCheck& /*cancelled*/,
                         std::vector<float>* rows) override {
    requests.push_back(*request);
    if (before) {
      if (absl::Status status = before(*request); !status.ok()) return status;
    }
    if (request->teacher_digest.empty()) request->teacher_digest = "fake-digest";
    const RowRange range = *dataset_->Shard(request->shard);
    rows->assign(static_cast<size_t>(range.count * request->class_count), 0);
    for (int64_t row = 0; row < range.count; ++row) {
      for (int64_t c = 0; c < request->class_count; ++c) {
        const int64_t stored = dataset_->StoredIndex(range.first + row);
        const auto noise = static_cast<float>((stored * 7 + c * 3 + request->view) % 16) / 16;
        const float logit = (dataset_->Label(range.first + row) == c ? 5.0F : 0.0F) + noise;
        (*rows)[static_cast<size_t>(row * request->class_count + c)] =
            logit / static_cast<float>(request->temperature);
      }
    }
    return absl::OkStatus();
  }

  // What was asked for, as it was asked.
  std::vector<ShardRequest> requests;
  // Called first; a status that is not OK is the answer.
  std::function<absl::Status(const ShardRequest&)> before;

 private:
  const Dataset* const dataset_;
};

}  // namespace distillery
