#include "student_worker/rpc/worker.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/backoff.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/environment.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/run_data.h"
#include "common/run/sample_plan.h"
#include "common/run/sample_selection.h"
#include "common/run/task_log_fields.h"
#include "student_worker/rpc/teacher_client.h"
#include "student_worker/training/torch_tasks.h"

namespace distillery {
namespace {

constexpr absl::Duration kLongestPoll = absl::Seconds(10);

// The coordinator took the task back, or it had done so before.
bool Over(const absl::Status& released) { return released.ok() || absl::IsAborted(released); }

// Waiting does not help: the certificates are wrong, or the list of workers, or it is no
// coordinator.
bool NotLetIn(const absl::Status& status) {
  return absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status) ||
         absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status);
}

// DATA_LOSS if these are not the weights and the card that the lease names.
absl::Status CheckPromised(const WorkerTask& task, const DownloadedWeights& weights) {
  const auto differs = [&](const char* what, const std::string& got, const std::string& expected) {
    return absl::DataLossError(absl::StrCat(what, " of round ", task.lease.task.round, " is ", got,
                                            ", the lease names ", expected));
  };
  if (weights.sha256 != task.weights_sha256) {
    return differs("the SHA-256 of the weights", weights.sha256, task.weights_sha256);
  }
  // Coordinators of before name no card.
  if (task.model_card_sha256.empty()) return absl::OkStatus();
  const std::string card = Sha256Hex(weights.model_card);
  return card == task.model_card_sha256
             ? absl::OkStatus()
             : differs("the SHA-256 of the model card", card, task.model_card_sha256);
}

DatasetFinder::Options FinderOptions(const Worker::Options& options) {
  DatasetFinder::Options finder;
  finder.data_dir = options.data_dir;
  return finder;
}

}  // namespace

Worker::Worker(const Options& options, std::shared_ptr<Connection> coordinator,
               std::unique_ptr<TeacherChannels> teachers)
    : options_(options),
      statistics_(Clock::Real()),
      students_(options.student_dir),
      teachers_(std::move(teachers)),
      datasets_(FinderOptions(options), options.data_from_teachers ? teachers_.get() : nullptr),
      connection_(std::move(coordinator)),
      coordinator_(connection_, &canceller_) {}

void Worker::Stop() {
  stopping_.store(true);
  {
    MutexLock lock(mutex_);
    stop_requested_ = true;
    if (lease_ != nullptr) lease_->Stop();
    changed_.NotifyAll();
  }
  canceller_.CancelAll();
}

absl::StatusOr<std::shared_ptr<const Dataset>> Worker::OpenRunData(const RunSpec& spec) {
  DatasetFinder::Seeker seeker;
  seeker.canceller = &canceller_;
  seeker.waiting = [](const std::string&) {};
  seeker.cancelled = [this] { return stopping_.load(); };
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const Dataset> training,
                              datasets_.Find(spec.TrainingData(), "", seeker));
  DISTILLERY_RETURN_IF_ERROR(CheckFitsData(spec, *training));
  DISTILLERY_RETURN_IF_ERROR(datasets_.Find(spec.EvaluationData(), "", seeker).status());
  if (spec.guarded()) {
    DISTILLERY_RETURN_IF_ERROR(datasets_.Find(spec.HeldOutData(), "", seeker).status());
  }
  DISTILLERY_RETURN_IF_ERROR(FindStudent(spec).status());
  return training;
}

absl::StatusOr<std::string> Worker::Run() {
  std::string register_request = RandomHex(16);
  std::string lease_request = RandomHex(16);
  std::string worker_id;
  absl::Duration poll = kLongestPoll;
  Backoff backoff;
  // After tasks that came to nothing here and of which the coordinator knows nothing: whatever the
  // reason is, it will be there again at once.
  Backoff unsettled(absl::Seconds(1), absl::Minutes(1));
  bool reachable = true;
  bool admitted = false;
  while (!stopping_.load()) {
    absl::Status status;
    if (worker_id.empty()) {
      const auto registration = coordinator_.RegisterWorker(
          register_request, options_.name, options_.numerics_fingerprint, ProcessNumerics(),
          options_.memory_bytes);
      status = registration.status();
      if (status.ok()) {
        worker_id = registration->worker_id;
        admitted = true;
        poll = std::min(kLongestPoll, registration->lease_duration / 3);
        LogInfo("{} registered as {}", options_.name, worker_id);
      }
    } else {
      absl::StatusOr<LeasedWork> work = coordinator_.LeaseTask(lease_request, worker_id, poll);
      status = work.status();
      if (status.ok()) {
        lease_request = RandomHex(16);
        if (work->task.has_value()) {
          if (Execute(*work->task)) {
            unsettled.Reset();
          } else {
            Pause(unsettled.Next());
          }
        } else if (!work->wanted_numerics.empty()) {
          return work->wanted_numerics;
        }
      } else if (absl::IsNotFound(status)) {
        worker_id.clear();
        register_request = RandomHex(16);
        continue;
      }
    }
    statistics_.SetConnected(status.ok());
    if (status.ok()) {
      if (!reachable) LogInfo("coordinator {} is back", options_.coordinator_address);
      reachable = true;
      backoff.Reset();
      continue;
    }
    if (stopping_.load()) {
      if (!worker_id.empty()) GiveBackUnheard(lease_request, worker_id);
      break;
    }
    if (reachable || !admitted) status = connection_->Explain(status);
    if (!admitted && NotLetIn(status)) {
      return Annotate(status, absl::StrCat("coordinator ", options_.coordinator_address));
    }
    if (stopping_.load()) break;
    if (reachable) {
      LogWarning("coordinator {}: {}; waiting for it", options_.coordinator_address,
                 std::string(status.message()));
    }
    reachable = false;
    Pause(backoff.Next());
  }
  return std::string();
}

void Worker::Pause(absl::Duration time) {
  const absl::Duration end = SteadyNow() + time;
  MutexLock lock(mutex_);
  while (!stop_requested_) {
    const absl::Duration left = end - SteadyNow();
    if (left <= absl::ZeroDuration()) return;
    changed_.WaitFor(mutex_, left);
  }
}

bool Worker::Execute(const WorkerTask& task) {
  const LogFields about(TaskLogFields(task.lease.task));
  statistics_.TaskBegins(task.lease.task);
  TaskOutcome outcome = TaskOutcome::kDone;
  bool settled = true;
  const absl::Status status = DoTask(task, &outcome, &settled);
  statistics_.TaskEnds(outcome);
  if (!status.ok()) {
    LogLine(options_.warn_of_failures ? LogLevel::kWarning : LogLevel::kDebug, "{}",
            std::string(status.message()));
  }
  return settled;
}

absl::Status Worker::DoTask(const WorkerTask& task, TaskOutcome* outcome, bool* settled) {
  const std::string name = task.lease.task.ToString();
  LogDebug("{} begins (token {})", name, task.lease.fencing_token);
  DISTILLERY_FAILPOINT("worker.task.leased");
  TaskLease lease(task, &coordinator_);
  {
    MutexLock lock(mutex_);
    lease_ = &lease;
    if (stop_requested_) lease.Stop();
  }
  absl::Status status;
  switch (task.lease.task.kind) {
    case TaskKind::kInitialise:
      status = Initialise(&lease);
      break;
    case TaskKind::kTrain:
      status = Train(&lease);
      break;
    case TaskKind::kEvaluate:
      status = Evaluate(&lease);
      break;
  }
  {
    MutexLock lock(mutex_);
    lease_ = nullptr;
  }
  lease.End();
  if (status.ok()) {
    LogDebug("{} is done (token {})", name, task.lease.fencing_token);
    return absl::OkStatus();
  }
  if (lease.lost() || absl::IsAborted(status)) {
    *outcome = TaskOutcome::kDropped;
    // The lease may go on where the result alone was refused: asking for another task without a
    // word would count as a failure.
    if (!lease.lost()) *settled = Over(Release(task, /*failed=*/false, "dropped"));
    return Annotate(status, absl::StrCat(name, " is dropped, its lease has ended"));
  }
  const bool failed = !stopping_.load();
  *outcome = failed ? TaskOutcome::kFailed : TaskOutcome::kReleased;
  const absl::Status released = Release(task, failed, std::string(status.message()));
  *settled = Over(released);
  if (!failed) {
    LogInfo("{} given back{}", name,
            released.ok() ? "" : absl::StrCat(": ", std::string(released.message())));
    return absl::OkStatus();
  }
  if (!*settled) {
    LogWarning("{} failed, and the coordinator could not be told: {}", name,
               std::string(released.message()));
  }
  return Annotate(status, absl::StrCat(name, " failed"));
}

void Worker::GiveBackUnheard(const std::string& lease_request, const std::string& worker_id) {
  const absl::StatusOr<LeasedWork> work = coordinator_.LeaseOfRequest(lease_request, worker_id);
  if (!work.ok() || !work->task.has_value()) return;
  const absl::Status released = Release(*work->task, /*failed=*/false, "stopping");
  LogInfo("{} given back{}", work->task->lease.task.ToString(),
          released.ok() ? "" : absl::StrCat(": ", std::string(released.message())));
}

absl::Status Worker::Release(const WorkerTask& task, bool failed, const std::string& message) {
  const std::string request_id = RandomHex(16);
  const absl::Duration end = SteadyNow() + task.lease_duration;
  Backoff backoff;
  while (true) {
    absl::Status status = coordinator_.ReleaseTask(request_id, task.lease, failed, message);
    const absl::Duration wait = backoff.Next();
    if (!Passing(status) || stopping_.load() || SteadyNow() + wait >= end) {
      return status;
    }
    Pause(wait);
  }
}

void Worker::SetWaitingFor(TaskLease* lease, const std::string& waiting_for) {
  statistics_.SetWaiting(!waiting_for.empty());
  lease->SetWaitingFor(waiting_for);
}

absl::StatusOr<std::shared_ptr<const Dataset>> Worker::OpenDataset(
    TaskLease* lease, const DatasetReference& reference, const std::string& expected_digest) {
  const WorkerTask& task = lease->task();
  DatasetFinder::Seeker seeker;
  seeker.canceller = lease->canceller();
  seeker.waiting = [this, lease](const std::string& waiting_for) {
    SetWaitingFor(lease, waiting_for);
  };
  seeker.cancelled = [lease] { return lease->cancelled().load(); };
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<const Dataset> dataset,
                              datasets_.Find(reference, expected_digest, seeker));
  if (!expected_digest.empty() && dataset->digest() != expected_digest) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", task.lease.task.run_id, " is bound to dataset digest ",
                     expected_digest, ", ours is ", dataset->digest()));
  }
  return dataset;
}

absl::StatusOr<std::string> Worker::FindStudent(const RunSpec& spec) {
  if (!spec.student_is_file()) return std::string();
  return students_.Find(spec.student.digest);
}

absl::StatusOr<const DownloadedWeights*> Worker::FetchWeights(TaskLease* lease,
                                                              const std::string& encoding) {
  const WorkerTask& task = lease->task();
  WeightsKey key{task.lease.task.run_id, task.weights_sha256, task.model_card_sha256, encoding};
  if (weights_ != nullptr && weights_key_ == key) return weights_.get();
  weights_.reset();
  PartialDownload partial;
  DISTILLERY_RETURN_IF_ERROR(lease->Persist([&](bool) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(
        DownloadedWeights weights,
        coordinator_.DownloadWeights(task.lease.task.run_id, task.lease.task.round, &partial,
                                     encoding));
    DISTILLERY_RETURN_IF_ERROR(CheckPromised(task, weights));
    weights_ = std::make_unique<DownloadedWeights>(std::move(weights));
    weights_key_ = std::move(key);
    return absl::OkStatus();
  }));
  statistics_.AddDownload(static_cast<int64_t>(weights_->weights.file().size()));
  return weights_.get();
}

absl::Status Worker::Initialise(TaskLease* lease) {
  const WorkerTask& task = lease->task();
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, OpenDataset(lease, task.spec.TrainingData(),
                                                              task.expected_dataset_digest));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string student_file, FindStudent(task.spec));
  std::optional<DownloadedWeights> trained;
  if (const std::string& sha256 = task.spec.student.initial_weights_sha256; !sha256.empty()) {
    PartialDownload partial;
    DISTILLERY_RETURN_IF_ERROR(lease->Persist([&](bool) -> absl::Status {
      DISTILLERY_ASSIGN_OR_RETURN(trained, coordinator_.DownloadUploadedWeights(sha256, &partial));
      return absl::OkStatus();
    }));
  }
  DISTILLERY_ASSIGN_OR_RETURN(
      const InitialWeights initial,
      MakeInitialWeights(task.spec, *dataset, student_file,
                         trained.has_value() ? &trained->weights : nullptr));
  ResultHeader header;
  header.request_id = RandomHex(16);
  header.lease = task.lease;
  header.buffer_names = initial.buffer_names;
  header.dataset_digest = dataset->digest();
  header.model_card = ModelCardToJson(initial.card);
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSelection selection,
                              SampleSelection::Create(task.spec, *dataset));
  header.samples_per_shard = selection.shard_sizes();
  // Said here, it is no bad result.
  DISTILLERY_RETURN_IF_ERROR(SamplePlan::Create(task.spec, header.samples_per_shard).status());
  DISTILLERY_FAILPOINT("worker.initialise.done");
  DISTILLERY_RETURN_IF_ERROR(lease->Persist(
      [&](bool again) { return coordinator_.UploadDelta(header, initial.weights.file(), again); }));
  statistics_.AddUpload(static_cast<int64_t>(initial.weights.file().size()));
  return absl::OkStatus();
}

absl::Status Worker::Train(TaskLease* lease) {
  const WorkerTask& task = lease->task();
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, OpenDataset(lease, task.spec.TrainingData(),
                                                              task.expected_dataset_digest));
  if (task.spec.needs_teacher() && teachers_ == nullptr) {
    return absl::FailedPreconditionError("this worker has no teacher: start it with --teacher");
  }
  DISTILLERY_ASSIGN_OR_RETURN(const DownloadedWeights* weights,
                              FetchWeights(lease, task.spec.training.broadcast_encoding));
  DISTILLERY_ASSIGN_OR_RETURN(const ModelCard card, ParseModelCard(weights->model_card));
  TeacherClient teacher(
      teachers_.get(), lease->canceller(),
      [this, lease](const std::string& waiting_for) { SetWaitingFor(lease, waiting_for); });
  TrainJob job;
  DISTILLERY_ASSIGN_OR_RETURN(job.student_file, FindStudent(task.spec));
  job.spec = &task.spec;
  job.round = task.lease.task.round;
  job.replica = task.lease.task.replica;
  job.weights = &weights->weights;
  job.card = &card;
  job.dataset = dataset.get();
  job.teacher = &teacher;
  job.teacher_digest = task.expected_teacher_digest;
  job.cancel = &lease->cancelled();
  job.device = options_.device;
  job.progress = [&](int64_t samples) {
    const int64_t before = lease->SetSamples(samples);
    statistics_.AddTrainedSamples(samples - before);
    if (before == 0) {
      LogDebug("{} trains (token {})", task.lease.task.ToString(), task.lease.fencing_token);
    }
  };
  DISTILLERY_ASSIGN_OR_RETURN(const TrainResult result, TrainReplica(job));
  ResultHeader header;
  header.request_id = RandomHex(16);
  header.lease = task.lease;
  header.metrics = result.metrics;
  header.metrics.teacher_failover_count = teacher.failover_count();
  statistics_.AddTraining(header.metrics);
  header.teacher_digest = result.teacher_digest;
  header.dataset_digest = dataset->digest();
  header.delta_encoding = task.spec.training.delta_encoding;
  DISTILLERY_FAILPOINT("worker.upload.begin");
  DISTILLERY_RETURN_IF_ERROR(lease->Persist(
      [&](bool again) { return coordinator_.UploadDelta(header, result.encoded_delta, again); }));
  statistics_.AddUpload(static_cast<int64_t>(result.encoded_delta.size()));
  return absl::OkStatus();
}

absl::Status Worker::Evaluate(TaskLease* lease) {
  const WorkerTask& task = lease->task();
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset,
                              OpenDataset(lease, task.spec.EvaluationData(), ""));
  DISTILLERY_ASSIGN_OR_RETURN(const DownloadedWeights* weights, FetchWeights(lease, "float32"));
  DISTILLERY_ASSIGN_OR_RETURN(const ModelCard card, ParseModelCard(weights->model_card));
  TeacherClient teacher(
      teachers_.get(), lease->canceller(),
      [this, lease](const std::string& waiting_for) { SetWaitingFor(lease, waiting_for); });
  EvaluationJob job;
  DISTILLERY_ASSIGN_OR_RETURN(job.student_file, FindStudent(task.spec));
  job.spec = &task.spec;
  job.weights = &weights->weights;
  job.card = &card;
  job.dataset = dataset.get();
  job.teacher = task.spec.needs_teacher() && teachers_ != nullptr ? &teacher : nullptr;
  job.teacher_digest = task.expected_teacher_digest;
  job.cancel = &lease->cancelled();
  job.device = options_.device;
  DISTILLERY_ASSIGN_OR_RETURN(EvaluationMetrics metrics, EvaluateWeights(job));
  if (task.spec.guarded()) {
    DISTILLERY_RETURN_IF_ERROR(EvaluateHeldOut(lease, job, &metrics));
  }
  statistics_.AddEvaluatedSamples(metrics.sample_count);
  const std::string request_id = RandomHex(16);
  DISTILLERY_FAILPOINT("worker.evaluation.done");
  return lease->Persist(
      [&](bool) { return coordinator_.ReportEvaluation(request_id, task.lease, metrics); });
}

absl::Status Worker::EvaluateHeldOut(TaskLease* lease, EvaluationJob job,
                                     EvaluationMetrics* metrics) {
  const WorkerTask& task = lease->task();
  EvaluationMetrics held_out = *metrics;
  const DatasetReference data = task.spec.HeldOutData();
  if (data.split != task.spec.dataset.evaluation_split) {
    DISTILLERY_ASSIGN_OR_RETURN(const auto dataset, OpenDataset(lease, data, ""));
    job.dataset = dataset.get();
    job.teacher = nullptr;
    DISTILLERY_ASSIGN_OR_RETURN(held_out, EvaluateWeights(job));
  }
  metrics->SetHeldOut(held_out);
  return absl::OkStatus();
}

}  // namespace distillery
