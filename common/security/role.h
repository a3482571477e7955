// Who a program is: the role and the name in its certificate.
//
// Both stand in one URI among the certificate's subject alternative names, in the form of a SPIFFE
// ID: spiffe://distillery/ROLE/NAME (https://github.com/spiffe/spiffe, SPIFFE-ID.md).
#pragma once

#include <array>
#include <string>

#include "absl/status/statusor.h"

namespace distillery {

enum class Role {
  kTeacher,
  kCoordinator,
  kWorker,
  // Does what a person does: submits, pauses, deletes, reloads models; reads everything.
  kOperator,
  // Reads, and asks teachers.
  kReader,
};

inline constexpr std::array<Role, 5> kRoles = {Role::kTeacher, Role::kCoordinator, Role::kWorker,
                                               Role::kOperator, Role::kReader};

// "teacher", "coordinator", "worker", "operator", "reader".
std::string RoleName(Role role);
// INVALID_ARGUMENT with the nearest role.
absl::StatusOr<Role> ParseRole(const std::string& name);
// Teachers and coordinators: their certificates show hosts.
bool IsServer(Role role);

struct Identity {
  Role role = Role::kReader;
  // As CheckName, up to 64 characters.
  std::string name;
};

inline constexpr size_t kMaxIdentityName = 64;

std::string IdentityUri(const Identity& identity);
// INVALID_ARGUMENT for any other URI.
absl::StatusOr<Identity> ParseIdentityUri(const std::string& uri);

}  // namespace distillery
