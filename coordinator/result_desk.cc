#include "coordinator/result_desk.h"

#include <iterator>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/evaluation_metrics.h"
#include "common/run/sample_plan.h"
#include "coordinator/lease_ending.h"
#include "coordinator/run_course.h"
#include "coordinator/upload_size.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// A slower worker's result is compared for so many lease durations after the faster one's.
constexpr int kCompareWithin = 10;

// Longer than what names a thing, and than any that there is.
constexpr size_t kLongestDigest = 128;

// Sizes and names.
absl::Status CheckHeader(const UploadHeader& header, int64_t max_model_bytes) {
  constexpr size_t kLongestCard = 64 << 10;
  constexpr size_t kLongestNames = 1 << 20;
  DISTILLERY_RETURN_IF_ERROR(CheckUploadSize(header.byte_count, max_model_bytes));
  if (header.model_card.size() > kLongestCard) {
    // Not RESOURCE_EXHAUSTED, which a worker takes for a full disk and waits out.
    return absl::FailedPreconditionError("model_card is over 64 KiB");
  }
  size_t name_bytes = 0;
  for (const std::string& name : header.buffer_names) name_bytes += name.size() + 1;
  if (name_bytes > kLongestNames) {
    return absl::FailedPreconditionError("buffer_names are over 1 MiB");
  }
  for (const auto& [name, digest] : {std::pair("teacher_digest", &header.teacher_digest),
                                     std::pair("dataset_digest", &header.dataset_digest)}) {
    if (!digest->empty()) DISTILLERY_RETURN_IF_ERROR(CheckName(name, *digest, kLongestDigest));
  }
  return absl::OkStatus();
}

absl::Status CheckDigests(const RunEntry& run, const UploadHeader& header) {
  for (const auto& [name, bound, got] :
       {std::make_tuple("teacher", &run.row.teacher_digest, &header.teacher_digest),
        std::make_tuple("dataset", &run.row.dataset_digest, &header.dataset_digest)}) {
    if (!bound->empty() && !got->empty() && *bound != *got) {
      return absl::FailedPreconditionError(absl::StrCat("run ", run.row.run_id, " is bound to ",
                                                        name, " digest ", *bound, ", got ", *got));
    }
  }
  return absl::OkStatus();
}

// The task's row once this request has done it.
TaskRow DoneRow(const TaskEntry& task, const std::string& request_id, const Lease& lease) {
  TaskRow row = task.row;
  row.done = true;
  row.request_id = request_id;
  row.worker_id = lease.worker_id;
  return row;
}

// The other leases of a task that is done, as they end with this one.
std::vector<LeaseRow> SlowerLeases(Ledger& ledger, const TaskEntry& task, const LeaseRow& done)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  std::vector<LeaseRow> slower;
  for (const int64_t token : task.tokens) {
    const LeaseRow* const other = ledger.leases.Find(token);
    if (other == nullptr || token == done.lease.fencing_token) continue;
    LeaseRow& ended = slower.emplace_back(*other);
    ended.outcome = LeaseOutcome::kSuperseded;
    ended.ended_unix_millis = done.ended_unix_millis;
  }
  return slower;
}

// The run's row once this result is taken.
RunRow RowAfter(const RunEntry& run, const UploadHeader& header, const std::string& sha256) {
  RunRow row = run.row;
  if (row.teacher_digest.empty()) row.teacher_digest = header.teacher_digest;
  if (row.dataset_digest.empty()) row.dataset_digest = header.dataset_digest;
  if (header.lease.task.kind != TaskKind::kInitialise) return row;
  row.state = RunState::kRunning;
  row.initial_weights_sha256 = sha256;
  row.weights_sha256 = sha256;
  row.model_card = header.model_card;
  row.buffer_names = nlohmann::json(header.buffer_names).dump();
  return row;
}

// Two workers' results of one task differ: says so, pauses a run that promised exactness.
absl::Status RaiseNondeterminismAlarm(Ledger& ledger, RunEntry& run, const Lease& lease)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger.mutex()) {
  const std::string reason = absl::StrCat(
      lease.task.ToString(), ": ", lease.worker_id,
      " computed other weights than the worker whose result was taken: equal bits are no longer "
      "promised; compare the workers' hardware and versions");
  ledger.statistics.Add(Count::kNondeterminismAlarms);
  ledger.statistics.Note(
      {"nondeterminism", lease.task.run_id, lease.task, lease.worker_id, reason});
  RunRow row = run.row;
  ++row.nondeterminism_alarms;
  row.inexact = true;
  DISTILLERY_RETURN_IF_ERROR(ledger.record->Put(row));
  run.row = row;
  ledger.Changed(run);
  return run.spec.exact && !Ended(row.state) && row.state != RunState::kPaused
             ? Pause(ledger, run, reason)
             : absl::OkStatus();
}

}  // namespace

absl::StatusOr<ResultDesk::Standing> ResultDesk::CheckResult(const std::string& request_id,
                                                             const Lease& lease) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("request_id", request_id, 64));
  DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(lease.task.run_id));
  const TaskId& id = lease.task;
  if (id.kind != TaskKind::kInitialise && id.round > run->row.completed_rounds) {
    return absl::FailedPreconditionError(absl::StrCat("round ", id.round, " has not begun; run ",
                                                      id.run_id, " is in round ",
                                                      run->row.completed_rounds));
  }
  TaskEntry* const task = run->Find(id);
  if (task != nullptr && task->row.done && task->row.request_id == request_id) {
    return Standing::kDuplicate;
  }
  if (id.kind == TaskKind::kTrain && id.round == run->row.completed_rounds && run->averaging &&
      !run->damaged &&  // else it is the round before that is averaged, once more
      run->spec.sync.late_deltas != "weight" && run->averaged.count(RunEntry::KeyOf(id)) == 0) {
    return absl::AbortedError(
        absl::StrCat("round ", id.round, " is closed: a quorum was in, drop the task"));
  }
  const auto superseded = superseded_.find(lease.fencing_token);
  if (superseded != superseded_.end() && superseded->second.lease.task == id &&
      superseded->second.lease.worker_id == lease.worker_id) {
    return Standing::kSuperseded;
  }
  absl::StatusOr<LeaseRow> active = CheckLease(ledger_, lease);
  if (active.ok()) return Standing::kOpen;
  // The task may be closed because this very result was counted.
  if (absl::IsAborted(active.status()) && ledger_.counted_requests.count(request_id) > 0) {
    return Standing::kDuplicate;
  }
  return active.status();
}

absl::StatusOr<UploadPlan> ResultDesk::Plan(const UploadHeader& header) {
  absl::StatusOr<UploadPlan> plan = ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) { return PlaceUpload(header); });
  if (plan.ok() && !plan->duplicate && header.lease.task.kind == TaskKind::kTrain) {
    if (const absl::Status figures = CheckFigures(header); !figures.ok()) plan = figures;
  }
  if (absl::IsInvalidArgument(plan.status())) {
    NoteBad(header.lease, "figures", plan.status());
  }
  return plan;
}

absl::Status ResultDesk::CheckFigures(const UploadHeader& header) {
  // The limit for a run that began before sizes of shards were recorded.
  constexpr int64_t kMostSamples = int64_t{1} << 40;
  const TaskId& task = header.lease.task;
  const int64_t claimed = header.metrics.sample_count;
  DISTILLERY_RETURN_IF_ERROR(CheckTraining(header.metrics));
  std::shared_ptr<const SamplePlan> plan;
  {
    MutexLock lock(ledger_.mutex());
    DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(task.run_id));
    plan = run->samples;
  }
  if (plan == nullptr) {
    if (claimed <= kMostSamples) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("metrics.sample_count must be 1 to ", kMostSamples, ", got ", claimed));
  }
  // Without the mutex: a plan of many epochs takes a while.
  const int64_t planned = plan->SampleCount(task.round, task.replica);
  if (claimed == planned) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("metrics.sample_count: ", task.ToString(), " has ",
                                                 planned, " samples, got ", claimed));
}

absl::StatusOr<UploadPlan> ResultDesk::PlaceUpload(const UploadHeader& header) {
  const TaskId& task = header.lease.task;
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                              CheckResult(header.request_id, header.lease));
  UploadPlan plan;
  if (standing == Standing::kDuplicate) {
    ledger_.statistics.Add(Count::kUploadsDuplicate);
    plan.duplicate = true;
    return plan;
  }
  if (task.kind == TaskKind::kEvaluate) {
    return absl::InvalidArgumentError("lease.kind: evaluations go through ReportEvaluation");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckHeader(header, ledger_.options.max_model_bytes));
  const RunEntry& run = *ledger_.runs.at(task.run_id);
  DISTILLERY_RETURN_IF_ERROR(CheckDigests(run, header));
  if (task.kind == TaskKind::kInitialise) {
    DISTILLERY_RETURN_IF_ERROR(SamplePlan::Create(run.spec, header.samples_per_shard).status());
  }
  ledger_.leases.NoteUpload(header.lease.fencing_token);
  plan.incoming_path = ledger_.folder->Incoming();
  if (task.kind == TaskKind::kInitialise) return plan;
  plan.has_layout = true;
  if (standing == Standing::kSuperseded && !ledger_.KeepsWeights(run, run.FileRound(task.round))) {
    // So late that what it started from is gone: it is not compared.
    superseded_.erase(header.lease.fencing_token);
    UploadPlan nothing;
    nothing.duplicate = true;
    return nothing;
  }
  // Another encoding would give other weights.
  plan.encoding = *ParseDeltaEncoding(run.spec.training.delta_encoding);
  if (ParseDeltaEncoding(header.delta_encoding) != plan.encoding) {
    return absl::FailedPreconditionError(
        absl::StrCat("header.delta_encoding is \"", header.delta_encoding, "\", run ", task.run_id,
                     " takes \"", run.spec.training.delta_encoding, "\""));
  }
  plan.decoded_path = ledger_.folder->Incoming();
  plan.buffer_names = run.BufferNames();
  return plan;
}

absl::Status ResultDesk::Check(const std::string& request_id, const Lease& lease) {
  MutexLock lock(ledger_.mutex());
  return CheckResult(request_id, lease).status();
}

absl::StatusOr<bool> ResultDesk::Commit(const UploadHeader& header, const std::string& path,
                                        const std::string& sha256) {
  const TaskId& id = header.lease.task;
  const bool initialise = id.kind == TaskKind::kInitialise;
  // With the lease's token in it: no other result has this name.
  const std::string spool_name = initialise ? "" : ledger_.folder->SpoolName(header.lease);
  const std::string target =
      initialise ? ledger_.folder->Weights(id.run_id, 0) : ledger_.folder->Absolute(spool_name);
  bool open = false;
  {
    MutexLock lock(ledger_.mutex());
    DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                                CheckResult(header.request_id, header.lease));
    open = standing == Standing::kOpen;
    if (open) DISTILLERY_RETURN_IF_ERROR(CheckDigests(*ledger_.runs.at(id.run_id), header));
    if (open && !ledger_.busy_files.insert(target).second) {
      return absl::UnavailableError(
          absl::StrCat(id.ToString(), ": a result is being recorded, ask again"));
    }
  }
  // Without the mutex, so that the disk does this for many results at once.
  absl::Status renamed;
  if (open) {
    DISTILLERY_FAILPOINT("coordinator.spool.synced");
    renamed = ledger_.disk.Note(RenameDurably(path, target));
    DISTILLERY_FAILPOINT("coordinator.spool.renamed");
  }
  const std::string card_sha256 = initialise ? Sha256Hex(header.model_card) : "";
  const auto record = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<bool> {
    if (open) ledger_.busy_files.erase(target);
    absl::StatusOr<bool> recorded =
        renamed.ok() ? RecordResult(header, spool_name, sha256, card_sha256) : renamed;
    // A file that has its name now but no record goes.
    const bool counted = recorded.ok() && !*recorded;
    const auto run = ledger_.runs.find(id.run_id);
    if (open && !counted && run != ledger_.runs.end()) ledger_.NoteGarbage(*run->second);
    return recorded;
  };
  return ledger_.Write(record);
}

absl::Status ResultDesk::CompareSuperseded(const Lease& lease, const std::string& sha256) {
  const bool equal = superseded_.at(lease.fencing_token).delta_sha256 == sha256;
  superseded_.erase(lease.fencing_token);
  if (!equal) return RaiseNondeterminismAlarm(ledger_, *ledger_.runs.at(lease.task.run_id), lease);
  LogInfo("{}: {} computed the same bits as the faster worker", lease.task.ToString(),
          lease.worker_id);
  return absl::OkStatus();
}

absl::StatusOr<bool> ResultDesk::RecordResult(const UploadHeader& header,
                                              const std::string& spool_name,
                                              const std::string& sha256,
                                              const std::string& card_sha256) {
  const TaskId& id = header.lease.task;
  const bool initialise = id.kind == TaskKind::kInitialise;
  // Much may have happened while the file was renamed.
  DISTILLERY_ASSIGN_OR_RETURN(const Standing standing,
                              CheckResult(header.request_id, header.lease));
  if (standing == Standing::kSuperseded) {
    DISTILLERY_RETURN_IF_ERROR(CompareSuperseded(header.lease, sha256));
  }
  if (standing != Standing::kOpen) return true;
  RunEntry& run = *ledger_.runs.at(id.run_id);
  DISTILLERY_RETURN_IF_ERROR(CheckDigests(run, header));
  DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow active, CheckLease(ledger_, header.lease));
  TaskRow task_row = DoneRow(*run.Find(id), header.request_id, header.lease);
  task_row.delta_file = spool_name;
  task_row.delta_sha256 = sha256;
  task_row.metrics = header.metrics;
  const RunRow run_row = RowAfter(run, header, sha256);
  std::shared_ptr<const SamplePlan> samples = run.samples;
  std::optional<PlanRow> plan_row;
  if (initialise) {
    DISTILLERY_ASSIGN_OR_RETURN(SamplePlan plan,
                                SamplePlan::Create(run.spec, header.samples_per_shard));
    samples = std::make_shared<const SamplePlan>(std::move(plan));
    if (!header.samples_per_shard.empty()) {
      plan_row = {run_row.run_id, ShardSizesToText(header.samples_per_shard)};
    }
  }
  const LeaseRow lease_row = ledger_.EndedRow(active, LeaseOutcome::kDone);
  const std::vector<LeaseRow> slower = SlowerLeases(ledger_, *run.Find(id), lease_row);
  DISTILLERY_RETURN_IF_ERROR(ledger_.record->Transaction(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::Status {
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(task_row));
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(lease_row));
        for (const LeaseRow& other : slower) {
          DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(other));
        }
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(run_row));
        if (plan_row.has_value()) DISTILLERY_RETURN_IF_ERROR(ledger_.record->Put(*plan_row));
        DISTILLERY_FAILPOINT("coordinator.result.recording");
        return absl::OkStatus();
      }));
  DISTILLERY_FAILPOINT("coordinator.result.recorded");
  for (const LeaseRow& other : slower) {
    superseded_[other.lease.fencing_token] = {
        other.lease, sha256, ledger_.Now() + kCompareWithin * ledger_.options.lease_duration};
    EndLease(ledger_, other, LeaseOutcome::kSuperseded);
  }
  if (!initialise)
    run.pace.NoteTaskTime(ledger_.leases.Age(header.lease.fencing_token, ledger_.Now()));
  EndLease(ledger_, active, LeaseOutcome::kDone);
  ledger_.strikes.Forgive(header.lease.worker_id);
  ledger_.statistics.Add(Count::kUploadsAccepted);
  ledger_.statistics.Add(Count::kUploadedBytes, header.byte_count);
  ledger_.counted_requests.insert(header.request_id);
  run.row = run_row;
  run.samples = std::move(samples);
  run.waiting_for.clear();
  run.Find(id)->row = task_row;
  if (initialise) {
    run.weights_bytes = header.byte_count;
    run.card_sha256 = card_sha256;
    run.tasks.erase(RunEntry::KeyOf(id));
    run.round_began = ledger_.Now();
    run.MakeTasks();
  } else {
    run.pace.NoteSamples(header.metrics.sample_count, ledger_.Now());
  }
  ledger_.Changed(run);
  DISTILLERY_RETURN_IF_ERROR(Advance(ledger_, run));
  return false;
}

absl::StatusOr<bool> ResultDesk::Evaluate(const std::string& request_id, const Lease& lease,
                                          const EvaluationMetrics& metrics) {
  if (lease.task.kind != TaskKind::kEvaluate) {
    return absl::InvalidArgumentError("lease.kind must be evaluate");
  }
  if (const absl::Status figures = CheckEvaluation(metrics); !figures.ok()) {
    NoteBad(lease, "figures", figures);
    return figures;
  }
  const std::string details_json = DetailsToJson(metrics).dump();
  return ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<bool> {
        DISTILLERY_ASSIGN_OR_RETURN(const Standing standing, CheckResult(request_id, lease));
        if (standing == Standing::kDuplicate) return true;
        RunEntry& run = *ledger_.runs.at(lease.task.run_id);
        DISTILLERY_ASSIGN_OR_RETURN(const LeaseRow active, CheckLease(ledger_, lease));
        const TaskRow task_row = DoneRow(*run.Find(lease.task), request_id, lease);
        const LeaseRow lease_row = ledger_.EndedRow(active, LeaseOutcome::kDone);
        const EvaluationRow evaluation{run.row.run_id, lease.task.round, metrics, details_json};
        DISTILLERY_RETURN_IF_ERROR(ledger_.record->PutAll(evaluation, lease_row, task_row));
        DISTILLERY_FAILPOINT("coordinator.evaluation.recorded");
        EndLease(ledger_, active, LeaseOutcome::kDone);
        ledger_.counted_requests.insert(request_id);
        run.NoteEvaluation(lease.task.round, metrics);
        run.tasks.erase(RunEntry::KeyOf(lease.task));
        run.advance_after = ledger_.Now();
        ledger_.NoteGarbage(run);
        ledger_.Changed(run);
        DISTILLERY_RETURN_IF_ERROR(Advance(ledger_, run));
        return false;
      });
}

void ResultDesk::NoteBad(const Lease& lease, const std::string& reason,
                         const absl::Status& status) {
  MutexLock lock(ledger_.mutex());
  ledger_.statistics.Add(Count::kRejectedDeltas, reason);
  ledger_.statistics.Note({"delta_rejected", lease.task.run_id, lease.task, lease.worker_id,
                           std::string(status.message())});
  if (!CheckLease(ledger_, lease).ok()) return;
  ledger_.statistics.Add(Count::kStrikes);
  if (!ledger_.strikes.Strike(lease.worker_id, ledger_.Now())) return;
  ledger_.statistics.Add(Count::kWorkersSetAside);
  ledger_.statistics.Note(
      {"worker_set_aside",
       "",
       {},
       lease.worker_id,
       absl::StrCat(StrikeBook::kMost,
                    " results in a row were none: it gets no task "
                    "for ",
                    absl::FormatDuration(StrikeBook::kRest), ", or until it is started again")});
}

void ResultDesk::ForgetSuperseded() {
  MutexLock lock(ledger_.mutex());
  for (auto old = superseded_.begin(); old != superseded_.end();) {
    old = old->second.until <= ledger_.Now() ? superseded_.erase(old) : std::next(old);
  }
}

}  // namespace distillery
