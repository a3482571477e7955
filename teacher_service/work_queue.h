// What waits for the device: cuts of training streams and ad-hoc queries, and which goes next.
//
// Two lanes share the device by weight: each is charged rows x parameters for what it was given,
// and the lane with the smaller charge / weight goes next; a lane that was empty does not save up
// credit. So neither starves the other.
//
// Batches of queries: the oldest query, then others of its model in order of arrival, while they
// fit into the model's max_batch_rows; a query that is larger goes alone. They form by themselves
// from what came while the device was busy. A batch that is not full lets cuts go first for up to
// max_queue_delay, so that it fills. Work-conserving: Take gives work whenever there is some; no
// query waits for company while the device is idle.
//
// Threads: none; whoever owns it locks. Time is given, never asked for.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

enum class Lane { kStream, kQuery };

// One caller's inputs.
struct Query {
  std::shared_ptr<Teacher> teacher;
  // As Teacher::ComputeLogits takes them; alive until `done`.
  InputColumns inputs;
  int64_t rows = 0;
  // The caller allows pixels below 0 and above 1.
  bool any_finite_pixels = false;
  // On the steady clock; work that would begin later is dropped.
  absl::Duration deadline = absl::InfiniteDuration();
  // True once nobody waits for the answer. May be empty.
  std::function<bool()> cancelled;
  // Called once, by a compute thread, without locks. `logits` [rows, positions..., classes] is
  // null unless OK, and ends with the call. CANCELLED, DEADLINE_EXCEEDED (dropped before the
  // device), UNAVAILABLE (closed), or what the teacher says.
  std::function<void(const absl::Status& status, const float* logits)> done;
  // For a caller that needs no logits, with a teacher that encodes: what it wants, and who takes it
  // in place of `done`. Nothing is promised; `done` may be called all the same.
  std::optional<SoftTargetFormat> format;
  std::function<void(EncodedRows encoded)> done_encoded;
};

// One cut of a shard.
struct CutWork {
  std::shared_ptr<Teacher> teacher;
  int64_t rows = 0;
  // True once no stream waits for it: it is dropped before the device.
  std::function<bool()> cancelled;
  // Loads inputs and computes; called once, by a compute thread, without locks. `dropped` is OK, or
  // why it must not compute.
  std::function<void(const absl::Status& dropped)> run;
};

class WorkQueue {
 public:
  struct Options {
    // Shares of the device when both lanes have work.
    double stream_weight = 1;
    double query_weight = 1;
    absl::Duration max_queue_delay = absl::Milliseconds(2);
    // Rows of queries that may wait.
    int64_t max_queued_rows = 16384;
  };
  explicit WorkQueue(const Options& options) : options_(options) {}

  // UNAVAILABLE if the queue is full.
  absl::Status AddQuery(Query query, absl::Duration now);
  void AddCut(CutWork cut);

  // What a compute thread does next: a cut, or the queries of one batch. Nothing: all lanes are
  // empty.
  struct Batch {
    Lane lane = Lane::kQuery;
    CutWork cut;
    std::vector<Query> queries;
    // Queries and cuts that were found cancelled or too late, with their status.
    std::vector<std::pair<Query, absl::Status>> dropped_queries;
    std::vector<CutWork> dropped_cuts;
    // How long each of `queries` has waited.
    std::vector<absl::Duration> waits;

    bool has_work() const { return !queries.empty() || static_cast<bool>(cut.run); }
  };
  Batch Take(absl::Duration now);

  // All that waits, to be told that the service ends.
  Batch TakeAll();

  int64_t queued_query_rows() const { return queued_rows_; }
  int64_t queued_cuts() const { return static_cast<int64_t>(cuts_.size()); }

 private:
  struct Waiting {
    Query query;
    absl::Duration since;
  };
  void DropUnwanted(absl::Duration now, Batch* batch);
  Lane Choose(absl::Duration now) const;
  void TakeQueries(absl::Duration now, Batch* batch);
  double& charge(Lane lane) { return lane == Lane::kStream ? stream_charge_ : query_charge_; }
  void Charge(Lane lane, const Teacher& teacher, int64_t rows);
  // A lane that gets work after it was empty starts level with the other.
  void Level(Lane lane);

  const Options options_;
  std::deque<Waiting> queries_;
  std::deque<CutWork> cuts_;
  int64_t queued_rows_ = 0;
  // Charged work divided by the lane's weight.
  double stream_charge_ = 0;
  double query_charge_ = 0;
};

}  // namespace distillery
