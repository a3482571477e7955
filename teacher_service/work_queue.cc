#include "teacher_service/work_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distillery {

absl::Status WorkQueue::AddQuery(Query query, absl::Duration now) {
  // A query larger than the whole queue may wait alone.
  if (queued_rows_ > 0 && queued_rows_ + query.rows > options_.max_queued_rows) {
    return absl::UnavailableError(absl::StrCat("the queue is full: ", queued_rows_,
                                               " rows wait, at most ", options_.max_queued_rows,
                                               "; try again"));
  }
  if (queries_.empty()) Level(Lane::kQuery);
  queued_rows_ += query.rows;
  queries_.push_back({std::move(query), now});
  return absl::OkStatus();
}

void WorkQueue::AddCut(CutWork cut) {
  if (cuts_.empty()) Level(Lane::kStream);
  cuts_.push_back(std::move(cut));
}

void WorkQueue::Level(Lane lane) {
  const bool other_waits = lane == Lane::kStream ? !queries_.empty() : !cuts_.empty();
  const double other = lane == Lane::kStream ? query_charge_ : stream_charge_;
  if (other_waits) {
    charge(lane) = std::max(charge(lane), other);
  } else if (queries_.empty() && cuts_.empty()) {
    stream_charge_ = query_charge_ = 0;  // both idle: sums stay small and exact
  }
}

void WorkQueue::Charge(Lane lane, const Teacher& teacher, int64_t rows) {
  const auto cost = static_cast<double>(rows) *
                    static_cast<double>(std::max<int64_t>(1, teacher.info().parameter_count));
  const double weight = lane == Lane::kStream ? options_.stream_weight : options_.query_weight;
  charge(lane) += cost / weight;
}

void WorkQueue::DropUnwanted(absl::Duration now, Batch* batch) {
  // Only heads: what is behind them is looked at when its turn comes.
  while (!cuts_.empty() && cuts_.front().cancelled && cuts_.front().cancelled()) {
    batch->dropped_cuts.push_back(std::move(cuts_.front()));
    cuts_.pop_front();
  }
  const auto keep = [&](Waiting& waiting) {
    absl::Status status;
    if (waiting.query.deadline <= now) {
      status = absl::DeadlineExceededError("the deadline passed while the query waited");
    } else if (waiting.query.cancelled && waiting.query.cancelled()) {
      status = absl::CancelledError("the client went away");
    }
    if (status.ok()) return true;
    queued_rows_ -= waiting.query.rows;
    batch->dropped_queries.emplace_back(std::move(waiting.query), std::move(status));
    return false;
  };
  const auto end = std::stable_partition(queries_.begin(), queries_.end(), keep);
  queries_.erase(end, queries_.end());
}

Lane WorkQueue::Choose(absl::Duration now) const {
  if (queries_.empty()) return Lane::kStream;
  if (cuts_.empty()) return Lane::kQuery;
  const Waiting& oldest = queries_.front();
  const bool full = queued_rows_ >= oldest.query.teacher->info().max_batch_rows;
  if (!full && now - oldest.since < options_.max_queue_delay) return Lane::kStream;
  return stream_charge_ < query_charge_ ? Lane::kStream : Lane::kQuery;
}

void WorkQueue::TakeQueries(absl::Duration now, Batch* batch) {
  const std::shared_ptr<Teacher> teacher = queries_.front().query.teacher;
  const int64_t limit = teacher->info().max_batch_rows;
  int64_t rows = 0;
  for (auto it = queries_.begin(); it != queries_.end() && rows < limit;) {
    const bool fits = rows == 0 || rows + it->query.rows <= limit;
    if (it->query.teacher != teacher || !fits) {
      ++it;
      continue;
    }
    rows += it->query.rows;
    queued_rows_ -= it->query.rows;
    batch->waits.push_back(now - it->since);
    batch->queries.push_back(std::move(it->query));
    it = queries_.erase(it);
  }
  Charge(Lane::kQuery, *teacher, rows);
}

WorkQueue::Batch WorkQueue::Take(absl::Duration now) {
  Batch batch;
  DropUnwanted(now, &batch);
  if (queries_.empty() && cuts_.empty()) return batch;
  batch.lane = Choose(now);
  if (batch.lane == Lane::kQuery) {
    TakeQueries(now, &batch);
    return batch;
  }
  batch.cut = std::move(cuts_.front());
  cuts_.pop_front();
  Charge(Lane::kStream, *batch.cut.teacher, batch.cut.rows);
  return batch;
}

WorkQueue::Batch WorkQueue::TakeAll() {
  Batch batch;
  for (Waiting& waiting : queries_) {
    batch.dropped_queries.emplace_back(std::move(waiting.query),
                                       absl::UnavailableError("the teacher is draining"));
  }
  for (CutWork& cut : cuts_) batch.dropped_cuts.push_back(std::move(cut));
  queries_.clear();
  cuts_.clear();
  queued_rows_ = 0;
  return batch;
}

}  // namespace distillery
