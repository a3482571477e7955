#include "coordinator/rpc/run_messages.h"

#include "common/base/text.h"
#include "common/rpc/proto_conversion.h"

namespace distillery {

void FillRound(const RoundView& view, v1::Round* round) {
  round->set_round(static_cast<int32_t>(view.row.round));
  round->set_weights_sha256(view.row.weights_sha256);
  *round->mutable_train() = ToProto(view.row.metrics);
  round->set_delta_norm(view.row.delta_norm);
  round->set_delta_count(static_cast<int32_t>(view.row.delta_count));
  round->set_late_delta_count(static_cast<int32_t>(view.row.late_delta_count));
  round->set_rolled_back_to_round(static_cast<int32_t>(view.row.rolled_back_to));
  if (view.evaluation.has_value()) {
    *round->mutable_evaluation() = ToProtoWithoutDetails(*view.evaluation);
  }
}

void FillRun(const RunView& view, v1::Run* run) {
  run->set_run_id(view.row.run_id);
  *run->mutable_spec() = ToProto(view.spec);
  run->set_state(static_cast<v1::RunState>(view.row.state));
  // A record of an older version may hold a reason that was cut inside a character.
  run->set_state_reason(PlainText(view.row.state_reason));
  run->set_completed_round_count(static_cast<int32_t>(view.row.completed_rounds));
  run->set_weights_sha256(view.row.weights_sha256);
  run->set_initial_weights_sha256(view.row.initial_weights_sha256);
  if (view.latest_round.has_value()) FillRound(*view.latest_round, run->mutable_latest_round());
  if (view.latest_evaluation.has_value()) {
    *run->mutable_latest_evaluation() = ToProtoWithoutDetails(*view.latest_evaluation);
  }
  run->set_latest_evaluation_round(static_cast<int32_t>(view.latest_evaluation_round));
  run->set_active_lease_count(static_cast<int32_t>(view.active_leases));
  run->set_live_worker_count(static_cast<int32_t>(view.live_workers));
  run->set_lost_lease_count(view.row.lost_leases);
  run->set_inexact(view.row.inexact);
  run->set_teacher_digest(view.row.teacher_digest);
  run->set_dataset_digest(view.row.dataset_digest);
  run->set_submitted_unix_seconds(view.row.submitted_unix_seconds);
  run->set_samples_per_second(view.samples_per_second);
  run->set_nondeterminism_alarm_count(view.row.nondeterminism_alarms);
  run->set_best_round(static_cast<int32_t>(view.best_round));
}

void FillWorker(const WorkerView& view, v1::Worker* worker) {
  worker->set_worker_id(view.row.worker_id);
  worker->set_name(view.row.name);
  worker->set_numerics_fingerprint(view.row.numerics_fingerprint);
  worker->set_gone(view.gone);
  worker->set_silent_seconds(absl::ToDoubleSeconds(view.silent));
  if (view.lease.has_value()) {
    *worker->mutable_lease() = ToProto(*view.lease);
    // Whoever looks need not be able to act.
    worker->mutable_lease()->clear_fencing_token();
  }
  worker->set_lease_seconds(absl::ToDoubleSeconds(view.held));
  worker->set_sample_count(view.sample_count);
  worker->set_done_task_count(view.done_tasks);
  worker->set_lost_lease_count(view.lost_leases);
  worker->set_memory_bytes(view.row.memory_bytes);
}

void FillLease(const LeaseView& view, v1::LeaseRecord* lease) {
  constexpr double kMillis = 1000;
  *lease->mutable_lease() = ToProto(view.row.lease);
  if (view.row.ended_unix_millis == 0) lease->mutable_lease()->clear_fencing_token();
  lease->set_worker_name(view.worker_name);
  lease->set_granted_unix_seconds(static_cast<double>(view.row.granted_unix_millis) / kMillis);
  lease->set_ended_unix_seconds(static_cast<double>(view.row.ended_unix_millis) / kMillis);
  lease->set_outcome(std::string(SpecOf(view.row.outcome).name));
  if (view.metrics.has_value()) *lease->mutable_train() = ToProto(*view.metrics);
}

}  // namespace distillery
