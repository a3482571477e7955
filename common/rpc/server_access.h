// Who may call a server that speaks TLS: the role in the client's certificate decides, before the
// call's handler or its request is looked at.
//
// Threads: safe for all.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/security/worker_list.h"

namespace distillery {

class ServerAccess {
 public:
  // `workers`: null admits every worker that has a certificate.
  explicit ServerAccess(std::shared_ptr<WorkerList> workers, Clock* clock = Clock::Real())
      : workers_(std::move(workers)), clock_(clock) {}

  // `uris`: those in the client's certificate. UNAUTHENTICATED if they name no role, or several;
  // else as CheckPermission and WorkerList::Check. Refusals are logged, each kind once a minute.
  absl::Status Check(const std::vector<std::string>& uris, const std::string& peer,
                     const std::string& rpc);

 private:
  void Log(const std::string& peer, const std::string& rpc, const absl::Status& refusal);

  const std::shared_ptr<WorkerList> workers_;
  Clock* const clock_;
  Mutex mutex_;
  // By refusal, when it was logged.
  std::map<std::string, absl::Duration> logged_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
