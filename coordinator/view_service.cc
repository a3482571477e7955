#include "coordinator/view_service.h"

#include "common/rpc/proto_conversion.h"

namespace distillery {

void FillRound(const RoundView& view, v1::Round* round) {
  round->set_round(static_cast<int32_t>(view.row.round));
  round->set_weights_sha256(view.row.weights_sha256);
  *round->mutable_train() = ToProto(view.row.metrics);
  if (view.evaluation.has_value()) *round->mutable_evaluation() = ToProto(*view.evaluation);
}

void FillRun(const RunView& view, v1::Run* run) {
  run->set_run_id(view.row.run_id);
  *run->mutable_spec() = ToProto(view.spec);
  run->set_state(static_cast<v1::RunState>(view.row.state));
  run->set_state_reason(view.row.state_reason);
  run->set_completed_round_count(static_cast<int32_t>(view.row.completed_rounds));
  run->set_weights_sha256(view.row.weights_sha256);
  run->set_initial_weights_sha256(view.row.initial_weights_sha256);
  if (view.latest_round.has_value()) FillRound(*view.latest_round, run->mutable_latest_round());
  if (view.latest_evaluation.has_value()) {
    *run->mutable_latest_evaluation() = ToProto(*view.latest_evaluation);
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
}

}  // namespace distillery
