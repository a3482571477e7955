#include "teacher_service/compute_scheduler.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"

namespace distillery {
namespace {

int SizeBucket(int64_t rows) {
  int bucket = 0;
  while (bucket < ModelStatistics::kSizeBuckets - 1 && (int64_t{1} << bucket) < rows) ++bucket;
  return bucket;
}

}  // namespace

ComputeScheduler::ComputeScheduler(const Options& options, Clock* clock)
    : clock_(clock), queue_(options.queue) {
  for (int i = 0; i < options.slots; ++i) threads_.emplace_back([this] { Run(); });
}

ComputeScheduler::~ComputeScheduler() { Close(); }

absl::Status ComputeScheduler::AddQuery(Query query) {
  MutexLock lock(mutex_);
  if (closed_) return absl::UnavailableError("the teacher is draining");
  absl::Status status = queue_.AddQuery(std::move(query), clock_->SteadyNow());
  changed_.NotifyOne();
  return status;
}

void ComputeScheduler::AddCut(CutWork cut) {
  {
    MutexLock lock(mutex_);
    if (!closed_) {
      queue_.AddCut(std::move(cut));
      changed_.NotifyOne();
      return;
    }
  }
  cut.run(absl::UnavailableError("the teacher is draining"));
}

void ComputeScheduler::Close() {
  WorkQueue::Batch left;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    left = queue_.TakeAll();
    changed_.NotifyAll();
  }
  Dismiss(left, absl::UnavailableError("the teacher is draining"));
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ComputeScheduler::Run() {
  while (true) {
    WorkQueue::Batch batch;
    {
      MutexLock lock(mutex_);
      while (queue_.queued_cuts() == 0 && queue_.queued_query_rows() == 0 && !closed_) {
        changed_.Wait(mutex_);
      }
      if (closed_) return;
      batch = queue_.Take(clock_->SteadyNow());
      ++busy_;
    }
    Dismiss(batch, absl::CancelledError("no stream waits for it"));
    if (!batch.queries.empty()) {
      RunQueries(batch);
    } else if (batch.cut.run) {
      batch.cut.run(absl::OkStatus());
    }
    MutexLock lock(mutex_);
    --busy_;
  }
}

void ComputeScheduler::Dismiss(WorkQueue::Batch& batch, const absl::Status& cut_status) {
  for (CutWork& cut : batch.dropped_cuts) cut.run(cut_status);
  for (auto& [query, status] : batch.dropped_queries) {
    {
      MutexLock lock(mutex_);
      ++Statistics(*query.teacher).failed_query_count;
    }
    query.done(status, nullptr);
  }
}

void ComputeScheduler::RunQueries(WorkQueue::Batch& batch) {
  Teacher& teacher = *batch.queries.front().teacher;
  const TeacherInfo& info = teacher.info();
  const auto pixels = static_cast<size_t>(info.card.input_shape.size());
  const auto classes = static_cast<size_t>(info.card.class_count());
  int64_t rows = 0;
  for (const Query& query : batch.queries) rows += query.rows;
  const float* inputs = batch.queries.front().inputs;
  if (batch.queries.size() > 1) {
    // Kept for the next batch: fresh pages would cost more than the copy.
    thread_local std::vector<float> joined;
    if (joined.size() < static_cast<size_t>(rows) * pixels) {
      joined.resize(static_cast<size_t>(rows) * pixels);
    }
    float* next = joined.data();
    for (const Query& query : batch.queries) {
      const size_t size = static_cast<size_t>(query.rows) * pixels;
      std::memcpy(next, query.inputs, size * sizeof(float));
      next += size;
    }
    inputs = joined.data();
  }
  if (RunEncoded(batch, inputs, rows)) return;
  std::vector<float> logits(static_cast<size_t>(rows) * classes);
  absl::Status status;
  const absl::Duration start = clock_->SteadyNow();
  for (int64_t first = 0; first < rows && status.ok(); first += info.max_batch_rows) {
    status = Compute(teacher, inputs + static_cast<size_t>(first) * pixels,
                     std::min(info.max_batch_rows, rows - first),
                     &logits[static_cast<size_t>(first) * classes], Lane::kQuery);
  }
  CountQueries(batch, rows, status.ok(), clock_->SteadyNow() - start);
  const float* next = logits.data();
  for (const Query& query : batch.queries) {
    query.done(status, status.ok() ? next : nullptr);
    next += static_cast<size_t>(query.rows) * classes;
  }
}

bool ComputeScheduler::RunEncoded(WorkQueue::Batch& batch, const float* inputs, int64_t rows) {
  Teacher& teacher = *batch.queries.front().teacher;
  if (!teacher.encodes() || rows > teacher.info().max_batch_rows) return false;
  const int64_t classes = teacher.info().card.class_count();
  std::vector<EncodedRows> encoded;
  std::vector<EncodedPart> parts;
  encoded.reserve(batch.queries.size());
  for (const Query& query : batch.queries) {
    if (!query.format.has_value()) return false;
    EncodedRows& of_query = encoded.emplace_back(RowsFor(query.rows, classes, *query.format));
    parts.push_back({query.rows, *query.format, BuffersOf(of_query)});
  }
  const absl::Duration start = clock_->SteadyNow();
  const absl::Status status = teacher.ComputeSoftTargets(inputs, rows, parts);
  if (absl::IsResourceExhausted(status)) return false;
  const absl::Duration taken = clock_->SteadyNow() - start;
  Count(teacher, Lane::kQuery, rows, /*passes=*/1, status.ok(), taken);
  CountQueries(batch, rows, status.ok(), taken);
  for (size_t i = 0; i < batch.queries.size(); ++i) {
    if (status.ok()) {
      batch.queries[i].done_encoded(std::move(encoded[i]));
    } else {
      batch.queries[i].done(status, nullptr);
    }
  }
  return true;
}

void ComputeScheduler::CountQueries(const WorkQueue::Batch& batch, int64_t rows, bool ok,
                                    absl::Duration taken) {
  MutexLock lock(mutex_);
  ModelStatistics& statistics = Statistics(*batch.queries.front().teacher);
  const auto count = static_cast<int64_t>(batch.queries.size());
  (ok ? statistics.query_count : statistics.failed_query_count) += count;
  if (ok) {
    statistics.query_row_count += rows;
    statistics.query_compute_time += taken * count;
  }
  for (const absl::Duration wait : batch.waits) statistics.queue_time += wait;
  statistics.last_query = clock_->WallNow();
}

absl::Status ComputeScheduler::Compute(Teacher& teacher, const float* inputs, int64_t rows,
                                       float* logits, Lane lane) {
  const int64_t pixels = teacher.info().card.input_shape.size();
  return ComputeOrSplit(
      teacher,
      [&](int64_t first, int64_t count, float* output) {
        return teacher.ComputeLogits(inputs + first * pixels, count, output);
      },
      rows, logits, lane);
}

absl::Status ComputeScheduler::ComputeBytes(Teacher& teacher, const uint8_t* bytes, int pixel_max,
                                            int64_t rows, float* logits, Lane lane) {
  const int64_t pixels = teacher.info().card.input_shape.size();
  return ComputeOrSplit(
      teacher,
      [&](int64_t first, int64_t count, float* output) {
        return teacher.ComputeLogitsOfBytes(bytes + first * pixels, pixel_max, count, output);
      },
      rows, logits, lane);
}

absl::Status ComputeScheduler::ComputeOrSplit(Teacher& teacher, const ComputeRows& compute,
                                              int64_t rows, float* logits, Lane lane) {
  const absl::Duration start = clock_->SteadyNow();
  absl::Status status = compute(0, rows, logits);
  int64_t passes = 1;
  const bool split = absl::IsResourceExhausted(status) && rows > 1;
  if (split) {
    const int64_t half = rows / 2;
    passes = 2;
    status = compute(0, half, logits);
    if (status.ok()) {
      status = compute(half, rows - half, logits + half * teacher.info().card.class_count());
    }
  }
  if (status.ok() && teacher.info().half_logits) {
    const int64_t count = rows * teacher.info().card.class_count();
    for (int64_t i = 0; i < count; ++i) logits[i] = HalfToFloat(FloatToHalf(logits[i]));
  }
  Count(teacher, lane, rows, passes, status.ok(), clock_->SteadyNow() - start);
  return status;
}

void ComputeScheduler::Count(const Teacher& teacher, Lane lane, int64_t rows, int64_t passes, bool ok,
                             absl::Duration taken) {
  MutexLock lock(mutex_);
  ModelStatistics& statistics = Statistics(teacher);
  statistics.compute_time += taken;
  if (passes > 1) ++statistics.split_batch_count;
  (lane == Lane::kQuery ? statistics.query_batch_count : statistics.stream_batch_count) += passes;
  if (lane == Lane::kStream && ok) statistics.stream_row_count += rows;
  statistics.batch_sizes[static_cast<size_t>(SizeBucket(rows / passes))] += passes;
  statistics.batch_row_count += rows;
  if (lane == Lane::kQuery) {
    ModelStatistics::Passes& of_size = statistics.query_passes[rows / passes];
    of_size.count += passes;
    of_size.time += taken;
  }
}

ModelStatistics& ComputeScheduler::Statistics(const Teacher& teacher) {
  return statistics_[teacher.info().model_name];
}

std::map<std::string, ModelStatistics> ComputeScheduler::statistics() const {
  MutexLock lock(mutex_);
  return statistics_;
}

int64_t ComputeScheduler::queued_query_rows() const {
  MutexLock lock(mutex_);
  return queue_.queued_query_rows();
}

int64_t ComputeScheduler::queued_cuts() const {
  MutexLock lock(mutex_);
  return queue_.queued_cuts();
}

int ComputeScheduler::busy_slots() const {
  MutexLock lock(mutex_);
  return busy_;
}

}  // namespace distillery
