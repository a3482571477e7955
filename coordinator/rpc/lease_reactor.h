// LeaseTask, which waits in the domain, not on a thread; a client that goes away ends the wait.
//
//   waiting --a task, the end of the wait, or an error--> over
//      +--the client goes away--> cancelled --the domain answers--> over
#pragma once

#include <memory>
#include <string>

#include "common/base/mutex.h"
#include "coordinator/coordinator.h"
#include "coordinator/request_ledger.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"

namespace distillery {

// Deletes itself when the call is over.
class LeaseReactor : public grpc::ServerUnaryReactor {
 public:
  // All must outlive it.
  LeaseReactor(Coordinator* coordinator, RequestLedger* requests, v1::LeaseTaskResponse* response)
      : coordinator_(coordinator),
        requests_(requests),
        shared_(std::make_shared<Shared>()),
        response_(response) {}

  // `digest`: of what a retry with the same request_id repeats. `allowed`: whether the caller may
  // act as the worker.
  void Start(const v1::LeaseTaskRequest& request, std::string digest, absl::Status allowed);
  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  struct Shared {
    Mutex mutex;
    int64_t wait_id ABSL_GUARDED_BY(mutex) = 0;
    bool cancelled ABSL_GUARDED_BY(mutex) = false;
  };
  void Done(absl::StatusOr<LeaseAnswer> answer);

  Coordinator* const coordinator_;
  RequestLedger* const requests_;
  std::string request_id_;
  std::string digest_;
  const std::shared_ptr<Shared> shared_;
  v1::LeaseTaskResponse* const response_;
};

}  // namespace distillery
