// The weights that are sent to workers and clients, and those that were uploaded for runs to start
// from.
//
// Threads: safe for all. All but NoteUnreadable may block for the disk.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/weights/layout.h"
#include "coordinator/broadcast.h"
#include "coordinator/encoded_weights.h"
#include "coordinator/ledger.h"
#include "coordinator/weights_file.h"

namespace distillery {

class WeightsShelf {
 public:
  // The ledger must outlive this.
  explicit WeightsShelf(Ledger& ledger) : ledger_(ledger) {}

  // round -1: the newest. NOT_FOUND: run, or weights no longer kept; FAILED_PRECONDITION: the round
  // has not begun; UNAVAILABLE: they are damaged and being rebuilt; DATA_LOSS: they cannot be
  // rebuilt.
  absl::StatusOr<WeightsFile> Open(const std::string& run_id, int64_t round);
  // The same in half the bytes (see EncodedWeights).
  absl::StatusOr<WeightsFile> OpenFloat16(const std::string& run_id, int64_t round);
  // The layout that all weights and deltas of the run have; errors as Open.
  absl::StatusOr<WeightsLayout> LayoutOf(const std::string& run_id);
  // Says what comes of weights that could not be read to their end; see Open.
  absl::Status NoteUnreadable(const WeightsFile& weights, const absl::Status& status);

  // Weights to start from: WeightsUpload (weights_upload.h) drives these. NOT_FOUND if there are
  // none of that SHA-256; RESOURCE_EXHAUSTED for more than the size limit.
  absl::StatusOr<WeightsFile> OpenUploaded(const std::string& sha256);
  absl::StatusOr<std::string> PlanUpload(int64_t byte_count, const std::string& sha256);
  // Takes the checked and synced file at `path`; the oldest that no run will start from goes if
  // there are too many.
  absl::Status CommitUpload(const std::string& path, const std::string& sha256);
  // Uploaded weights that stay while the answer lives; null if they are not here.
  std::shared_ptr<void> Hold(const std::string& sha256);
  // Removes the uploaded weights that no run will start from. Nothing if a run cannot be read: what
  // it starts from is not known.
  void ForgetUploads();

 private:
  void LimitUploads(size_t keep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(uploads_mutex_);

  Ledger& ledger_;
  Broadcasts broadcasts_;
  EncodedWeights encoded_;
  // Held while the folder of uploads changes, so that what is wanted is not removed. Taken before
  // the ledger's mutex, never within it.
  Mutex uploads_mutex_;
  std::multiset<std::string> held_uploads_ ABSL_GUARDED_BY(uploads_mutex_);
};

}  // namespace distillery
