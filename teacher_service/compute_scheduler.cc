#include "teacher_service/compute_scheduler.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/base/status_macros.h"
#include "teacher_service/inference/query_inputs.h"
#include "teacher_service/teachers/finite_rows.h"

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
  DISTILLERY_RETURN_IF_ERROR(CheckQueryInputs(query.teacher->info().card.samples, query.inputs,
                                              query.rows, query.any_finite_pixels));
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
  const Teacher& teacher = *batch.queries.front().teacher;
  Part part;
  part.queries = batch.queries.data();
  part.count = batch.queries.size();
  for (const Query& query : batch.queries) part.rows += query.rows;
  part.inputs = batch.queries.front().inputs;
  if (part.count > 1) {
    const std::vector<InputSpec>& inputs = teacher.info().card.samples.inputs;
    thread_local InputBuffer joined;
    joined.Resize(inputs, part.rows);
    int64_t first = 0;
    for (const Query& query : batch.queries) {
      joined.Copy(inputs, first, query.inputs, query.rows);
      first += query.rows;
    }
    part.inputs = joined.inputs();
  }
  {
    MutexLock lock(mutex_);
    ModelStatistics& statistics = Statistics(teacher);
    for (const absl::Duration wait : batch.waits) statistics.queue_time += wait;
  }
  Answer(part);
}

void ComputeScheduler::Answer(const Part& part) {
  if (AnswerEncoded(part)) return;
  Teacher& teacher = *part.queries->teacher;
  const TeacherInfo& info = teacher.info();
  const int64_t values = info.card.row_values();
  std::vector<float> logits(static_cast<size_t>(part.rows * values));
  absl::Status status;
  const absl::Duration start = clock_->SteadyNow();
  for (int64_t first = 0; first < part.rows && status.ok(); first += info.max_batch_rows) {
    status = Compute(teacher, part.inputs.From(info.card.samples.inputs, first),
                     std::min(info.max_batch_rows, part.rows - first),
                     &logits[static_cast<size_t>(first * values)], Lane::kQuery);
  }
  const absl::Duration taken = clock_->SteadyNow() - start;
  if (AnswerApart(part, status)) return;
  std::vector<absl::Status> answers(part.count, status);
  const float* next = logits.data();
  for (size_t i = 0; i < part.count && status.ok(); ++i) {
    answers[i] = CheckFiniteRows(info, next, part.queries[i].rows);
    next += part.queries[i].rows * values;
  }
  CountQueries(part, answers, taken);
  next = logits.data();
  for (size_t i = 0; i < part.count; ++i) {
    part.queries[i].done(answers[i], answers[i].ok() ? next : nullptr);
    next += part.queries[i].rows * values;
  }
}

bool ComputeScheduler::AnswerEncoded(const Part& part) {
  Teacher& teacher = *part.queries->teacher;
  if (!teacher.encodes() || part.rows > teacher.info().max_batch_rows) return false;
  const AnswerShape shape = teacher.info().card.answer_shape();
  std::vector<EncodedRows> encoded;
  std::vector<EncodedPart> parts;
  encoded.reserve(part.count);
  for (size_t i = 0; i < part.count; ++i) {
    const Query& query = part.queries[i];
    if (!query.format.has_value()) return false;
    EncodedRows& of_query = encoded.emplace_back(RowsFor(query.rows, shape, *query.format));
    parts.push_back({query.rows, *query.format, BuffersOf(of_query)});
  }
  const absl::Duration start = clock_->SteadyNow();
  const absl::StatusOr<std::vector<absl::Status>> answers =
      teacher.ComputeSoftTargets(part.inputs, part.rows, parts);
  if (absl::IsResourceExhausted(answers.status())) return false;
  const absl::Duration taken = clock_->SteadyNow() - start;
  Count(teacher, Lane::kQuery, part.rows, /*passes=*/1, answers.ok(), taken);
  if (AnswerApart(part, answers.status())) return true;
  CountQueries(part, answers.ok() ? *answers : std::vector(part.count, answers.status()), taken);
  for (size_t i = 0; i < part.count; ++i) {
    const absl::Status& answer = answers.ok() ? (*answers)[i] : answers.status();
    if (answer.ok()) {
      part.queries[i].done_encoded(std::move(encoded[i]));
    } else {
      part.queries[i].done(answer, nullptr);
    }
  }
  return true;
}

bool ComputeScheduler::AnswerApart(const Part& part, const absl::Status& status) {
  // A device without memory has had its second try.
  if (status.ok() || absl::IsResourceExhausted(status) || part.count == 1) return false;
  Part half = part;
  half.count = part.count / 2;
  half.rows = 0;
  for (size_t i = 0; i < half.count; ++i) half.rows += part.queries[i].rows;
  Answer(half);
  half.queries += half.count;
  half.inputs = half.inputs.From(part.queries->teacher->info().card.samples.inputs, half.rows);
  half.count = part.count - half.count;
  half.rows = part.rows - half.rows;
  Answer(half);
  return true;
}

void ComputeScheduler::CountQueries(const Part& part, const std::vector<absl::Status>& answers,
                                    absl::Duration taken) {
  MutexLock lock(mutex_);
  ModelStatistics& statistics = Statistics(*part.queries->teacher);
  for (size_t i = 0; i < part.count; ++i) {
    if (!answers[i].ok()) {
      ++statistics.failed_query_count;
      continue;
    }
    ++statistics.query_count;
    statistics.query_row_count += part.queries[i].rows;
    statistics.query_compute_time += taken;
  }
  statistics.last_query = clock_->WallNow();
}

absl::Status ComputeScheduler::Compute(Teacher& teacher, const InputColumns& inputs, int64_t rows,
                                       float* logits, Lane lane) {
  return ComputeOrSplit(
      teacher,
      [&](int64_t first, int64_t count, float* output) {
        return teacher.ComputeLogits(inputs.From(teacher.info().card.samples.inputs, first), count,
                                     output);
      },
      rows, logits, lane);
}

absl::Status ComputeScheduler::ComputeBytes(Teacher& teacher, const uint8_t* bytes, int pixel_max,
                                            int64_t rows, float* logits, Lane lane) {
  const int64_t pixels = teacher.info().card.samples.picture_shape().size();
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
      status = compute(half, rows - half, logits + half * teacher.info().card.row_values());
    }
  }
  if (status.ok() && teacher.info().half_logits) {
    const int64_t count = rows * teacher.info().card.row_values();
    for (int64_t i = 0; i < count; ++i) {
      // Infinity would become the largest half, and a row that failed look like one that did not.
      if (std::isfinite(logits[i])) logits[i] = HalfToFloat(FloatToHalf(logits[i]));
    }
  }
  Count(teacher, lane, rows, passes, status.ok(), clock_->SteadyNow() - start);
  return status;
}

void ComputeScheduler::Count(const Teacher& teacher, Lane lane, int64_t rows, int64_t passes,
                             bool ok, absl::Duration taken) {
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
