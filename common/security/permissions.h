// Which role may call which rpc: one table over all rpcs of all services.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/security/role.h"

namespace distillery {

struct Permission {
  // "/package.Service/Method", as gRPC sends it.
  std::string rpc;
  std::vector<Role> roles;
};

const std::vector<Permission>& Permissions();

// PERMISSION_DENIED names the role, the rpc and the roles that may call it; UNIMPLEMENTED for an
// rpc that is not in the table: what nobody has thought about is nobody's.
absl::Status CheckPermission(const Identity& identity, const std::string& rpc);

}  // namespace distillery
