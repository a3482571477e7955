#include "common/security/role.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr absl::string_view kPrefix = "spiffe://distillery/";

}  // namespace

std::string RoleName(Role role) {
  switch (role) {
    case Role::kTeacher:
      return "teacher";
    case Role::kCoordinator:
      return "coordinator";
    case Role::kWorker:
      return "worker";
    case Role::kOperator:
      return "operator";
    case Role::kReader:
      return "reader";
  }
  return "";
}

absl::StatusOr<Role> ParseRole(const std::string& name) {
  std::vector<std::string> names;
  for (const Role role : kRoles) {
    names.push_back(RoleName(role));
    if (names.back() == name) return role;
  }
  return absl::InvalidArgumentError(UnknownName("role", name, names));
}

bool IsServer(Role role) { return role == Role::kTeacher || role == Role::kCoordinator; }

std::string IdentityUri(const Identity& identity) {
  return absl::StrCat(kPrefix, RoleName(identity.role), "/", identity.name);
}

absl::StatusOr<Identity> ParseIdentityUri(const std::string& uri) {
  absl::string_view path = uri;
  if (!absl::ConsumePrefix(&path, kPrefix)) {
    return absl::InvalidArgumentError(
        absl::StrCat("not of the form ", kPrefix, "ROLE/NAME: ", Printable(uri)));
  }
  const std::pair<std::string, std::string> parts = absl::StrSplit(path, absl::MaxSplits('/', 1));
  Identity identity;
  DISTILLERY_ASSIGN_OR_RETURN(identity.role, ParseRole(parts.first));
  DISTILLERY_RETURN_IF_ERROR(CheckName("the certificate's name", parts.second, kMaxIdentityName));
  identity.name = parts.second;
  return identity;
}

}  // namespace distillery
