// Roles, and what a refusal says. Which rpc is whose is tests/common/rpc/access_test.cc.
#include "common/security/permissions.h"

#include <set>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Role, StandsInAUriWithTheName) {
  for (const Role role : kRoles) {
    const std::string uri = IdentityUri({role, "worker-7"});
    EXPECT_EQ(uri, "spiffe://distillery/" + RoleName(role) + "/worker-7");
    ASSERT_OK_AND_ASSIGN(const Identity identity, ParseIdentityUri(uri));
    EXPECT_EQ(identity.role, role);
    EXPECT_EQ(identity.name, "worker-7");
  }
}

TEST(Role, OfAnyOtherUriIsNone) {
  for (const std::string uri :
       {"", "spiffe://distillery", "spiffe://distillery/worker", "spiffe://distillery/worker/",
        "spiffe://distillery/admin/x", "spiffe://other/worker/x", "https://distillery/worker/x",
        "spiffe://distillery/worker/a/b", "spiffe://distillery/worker/.x",
        "spiffe://distillery/Worker/x", "spiffe://distillery/worker/a b"}) {
    EXPECT_THAT(ParseIdentityUri(uri), StatusIs(absl::StatusCode::kInvalidArgument)) << uri;
  }
  EXPECT_THAT(ParseIdentityUri("spiffe://distillery/worker/" + std::string(65, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(Role, MisspeltIsToldTheNearest) {
  EXPECT_THAT(ParseRole("wroker"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you mean \"worker\"")));
}

TEST(Permissions, Fault47_ARefusalNamesTheRoleTheRpcAndWhatIsNeeded) {
  EXPECT_THAT(
      CheckPermission({Role::kReader, "ada"}, "/distillery.v1.CoordinatorService/SubmitRun"),
      StatusIs(absl::StatusCode::kPermissionDenied,
               AllOf(HasSubstr("\"ada\" is reader"),
                     HasSubstr("/distillery.v1.CoordinatorService/SubmitRun needs operator"),
                     HasSubstr("distillery certificates create DIR --role operator"))));
  EXPECT_THAT(CheckPermission({Role::kWorker, "w"}, "/distillery.v1.CoordinatorService/GetRun"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("needs operator or reader")));
}

TEST(Permissions, WhatIsNotInTheTableIsNobodys) {
  EXPECT_THAT(CheckPermission({Role::kOperator, "o"}, "/distillery.v1.CoordinatorService/Halt"),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST(Permissions, NoRpcStandsInTheTableTwice) {
  std::set<std::string> seen;
  for (const Permission& permission : Permissions()) {
    EXPECT_TRUE(seen.insert(permission.rpc).second) << permission.rpc;
    EXPECT_FALSE(permission.roles.empty()) << permission.rpc;
  }
}

}  // namespace
}  // namespace distillery
