#include "common/rpc/server_access.h"

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/rpc/caller.h"
#include "common/security/permissions.h"
#include "common/security/role.h"

namespace distillery {
namespace {

constexpr absl::Duration kLogPeriod = absl::Minutes(1);
constexpr size_t kMostLogged = 1000;

}  // namespace

absl::Status ServerAccess::Check(const std::vector<std::string>& uris, const std::string& peer,
                                 const std::string& rpc) {
  const absl::StatusOr<Identity> identity = IdentityOf(uris);
  absl::Status status = identity.status();
  if (status.ok()) status = CheckPermission(*identity, rpc);
  if (status.ok() && workers_ != nullptr && identity->role == Role::kWorker) {
    status = workers_->Check(identity->name);
  }
  if (!status.ok()) Log(peer, rpc, status);
  return status;
}

void ServerAccess::Log(const std::string& peer, const std::string& rpc,
                       const absl::Status& refusal) {
  {
    const absl::Duration now = clock_->SteadyNow();
    MutexLock lock(mutex_);
    // Clients choose what is in here.
    if (logged_.size() >= kMostLogged) logged_.clear();
    const auto [at, first] = logged_.emplace(std::string(refusal.message()), now);
    if (!first && now - at->second < kLogPeriod) return;
    at->second = now;
  }
  LogWarning("refused {} of {}: {}", Printable(rpc), Printable(peer),
             std::string(refusal.message()));
}

}  // namespace distillery
