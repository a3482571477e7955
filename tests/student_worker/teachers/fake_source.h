// Soft targets without a teacher.
#pragma once

#include <functional>
#include <vector>

#include "common/soft_targets/decode.h"
#include "common/soft_targets/encode.h"
#include "student_worker/teachers/soft_target_source.h"

namespace distillery {

// z[row, c] = (5 if c is the row's label, else 0) + small known noise, in the format asked for.
// Threads: as SoftTargetSource; the public members are for one thread at a time.
class FakeSource : public SoftTargetSource {
 public:
  explicit FakeSource(const Dataset* dataset) : dataset_(dataset) {}

  absl::Status ReadShard(ShardRequest* request, const CancelCheck& /*cancelled*/,
                         SoftTargetRows* rows) override {
    requests.push_back(*request);
    if (before) {
      if (absl::Status status = before(*request); !status.ok()) return status;
    }
    if (request->teacher_digest.empty()) request->teacher_digest = "fake-digest";
    const RowRange range = *dataset_->Shard(request->shard);
    std::vector<float> logits;
    for (int64_t row = 0; row < range.count; ++row) {
      for (int64_t c = 0; c < request->class_count; ++c) {
        const int64_t stored = dataset_->StoredIndex(range.first + row);
        const auto noise = static_cast<float>((stored * 7 + c * 3 + request->view) % 16) / 16;
        logits.push_back((dataset_->Label(range.first + row) == c ? 5.0F : 0.0F) + noise);
      }
    }
    *rows = SoftTargetRows();
    return AppendDecoded(EncodedView(EncodeSoftTargets(logits.data(), range.count,
                                                       request->class_count, request->format)),
                         range.count, request->class_count, request->format, rows);
  }

  // What was asked for, as it was asked.
  std::vector<ShardRequest> requests;
  // Called first; a status that is not OK is the answer.
  std::function<absl::Status(const ShardRequest&)> before;

 private:
  const Dataset* const dataset_;
};

}  // namespace distillery
