#include "coordinator/rpc/lease_reactor.h"

#include <algorithm>
#include <utility>

#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

constexpr double kLongestWaitSeconds = 60;

}  // namespace

void LeaseReactor::Start(const v1::LeaseTaskRequest& request, std::string digest,
                         absl::Status allowed) {
  request_id_ = request.request_id();
  digest_ = std::move(digest);
  if (allowed.ok()) allowed = requests_->Repeats(request_id_, digest_).status();
  if (!allowed.ok()) return Done(allowed);
  const double wait = std::clamp(request.max_wait_seconds(), 0.0, kLongestWaitSeconds);
  // Once `done` is called this may be gone; these are not.
  const auto shared = shared_;
  Coordinator* const coordinator = coordinator_;
  const int64_t id = coordinator->leases().Take(
      request.request_id(), request.worker_id(), absl::Seconds(wait),
      [this](absl::StatusOr<LeaseAnswer> answer) { Done(std::move(answer)); });
  bool cancelled = false;
  {
    MutexLock lock(shared->mutex);
    shared->wait_id = id;
    cancelled = shared->cancelled;
  }
  if (cancelled && id != 0) coordinator->leases().CancelWait(id);
}

void LeaseReactor::OnCancel() {
  int64_t id = 0;
  {
    MutexLock lock(shared_->mutex);
    shared_->cancelled = true;
    id = shared_->wait_id;
  }
  if (id != 0) coordinator_->leases().CancelWait(id);
}

void LeaseReactor::Done(absl::StatusOr<LeaseAnswer> answer) {
  if (answer.ok()) {
    response_->set_lease_duration_seconds(absl::ToDoubleSeconds(coordinator_->lease_duration()));
    response_->set_wanted_numerics(answer->wanted_numerics);
    if (answer->grant.has_value()) {
      requests_->Note(request_id_, digest_);
      const TaskGrant& grant = *answer->grant;
      *response_->mutable_lease() = ToProto(grant.lease);
      *response_->mutable_spec() = ToProto(grant.spec);
      response_->set_weights_sha256(grant.weights_sha256);
      response_->set_model_card_sha256(grant.model_card_sha256);
      response_->set_expected_teacher_digest(grant.expected_teacher_digest);
      response_->set_expected_dataset_digest(grant.expected_dataset_digest);
    }
  }
  Finish(ToGrpcStatus(answer.status(), coordinator_->state_dir()));
}

}  // namespace distillery
