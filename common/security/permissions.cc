#include "common/security/permissions.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"

namespace distillery {
namespace {

constexpr Role kWorker = Role::kWorker;
constexpr Role kOperator = Role::kOperator;
constexpr Role kReader = Role::kReader;

using Roles = std::vector<Role>;

// Adds the methods of one service.
void Add(std::vector<Permission>& table, const std::string& service, const Roles& roles,
         const std::vector<std::string>& methods) {
  for (const std::string& method : methods) {
    table.push_back({absl::StrCat("/", service, "/", method), roles});
  }
}

std::vector<Permission> MakeTable() {
  const Roles all(kRoles.begin(), kRoles.end());
  const Roles people = {kOperator, kReader};
  const Roles clients = {kWorker, kOperator, kReader};
  std::vector<Permission> table;

  const std::string coordinator = "distillery.v1.CoordinatorService";
  Add(table, coordinator, {kOperator},
      {"SubmitRun", "CancelRun", "PauseRun", "DeleteRun", "ResumeRun", "UploadWeights"});
  Add(table, coordinator, people, {"GetRun", "ListRuns", "ListLeases", "ListWorkers", "WatchRun"});
  Add(table, coordinator, {kWorker},
      {"RegisterWorker", "LeaseTask", "RenewLease", "ReleaseTask", "UploadDelta",
       "ReportEvaluation"});
  // Where an upload broke off: both have some.
  Add(table, coordinator, {kWorker, kOperator}, {"GetUpload"});
  Add(table, coordinator, clients, {"DownloadWeights"});

  const std::string teacher = "distillery.v1.TeacherService";
  Add(table, teacher, clients,
      {"GetTeacher", "ListTeachers", "ComputeSoftTargets", "DescribeDataset"});
  // Whole shards are for training.
  Add(table, teacher, {kWorker, kOperator}, {"StreamSoftTargets"});
  Add(table, teacher, {kOperator}, {"ReloadModel"});

  Add(table, "inference.GRPCInferenceService", people,
      {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer",
       "ModelConfig", "ModelStatistics"});

  Add(table, "grpc.health.v1.Health", all, {"Check", "Watch"});
  Add(table, "grpc.reflection.v1alpha.ServerReflection", all, {"ServerReflectionInfo"});
  Add(table, "grpc.reflection.v1.ServerReflection", all, {"ServerReflectionInfo"});
  // A method that newer releases of gRPC have.
  Add(table, "grpc.health.v1.Health", all, {"List"});
  return table;
}

std::string Describe(const Roles& roles) {
  return absl::StrJoin(roles, " or ",
                       [](std::string* out, Role role) { absl::StrAppend(out, RoleName(role)); });
}

}  // namespace

const std::vector<Permission>& Permissions() {
  static const auto* const table = new std::vector<Permission>(MakeTable());
  return *table;
}

absl::Status CheckPermission(const Identity& identity, const std::string& rpc) {
  static const auto* const by_rpc = [] {
    auto* const map = new std::map<std::string, const Roles*>;
    for (const Permission& permission : Permissions()) (*map)[permission.rpc] = &permission.roles;
    return map;
  }();
  const auto found = by_rpc->find(rpc);
  if (found == by_rpc->end()) {
    return absl::UnimplementedError(absl::StrCat("no role may call ", Printable(rpc)));
  }
  const Roles& roles = *found->second;
  if (std::find(roles.begin(), roles.end(), identity.role) != roles.end()) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("the role of certificate \"", identity.name, "\" is ", RoleName(identity.role),
                   ", and ", rpc, " needs ", Describe(roles),
                   ": use such a certificate (`distillery certificates create DIR "
                   "--role ",
                   RoleName(roles.front()), "`)"));
}

}  // namespace distillery
