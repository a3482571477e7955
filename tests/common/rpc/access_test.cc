// Every rpc of every service against every role, over TLS.
#include <google/protobuf/descriptor.h>

#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/rpc/server.h"
#include "common/security/permissions.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "inference/grpc_service.grpc.pb.h"
#include "tests/common/certificates.h"
#include "tests/common/log_lines.h"
#include "tests/common/rpc/raw_call.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kHealth[] = "/grpc.health.v1.Health/";
constexpr char kReflection[] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
constexpr char kOldReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

// Who may call what, told once more by hand: w(orker), o(perator), r(eader), and s(ervers), which
// are teachers and coordinators.
const std::map<std::string, std::string>& Expected() {
  static const auto* const expected = new std::map<std::string, std::string>{
      {"/distillery.v1.CoordinatorService/SubmitRun", "o"},
      {"/distillery.v1.CoordinatorService/GetRun", "or"},
      {"/distillery.v1.CoordinatorService/ListRuns", "or"},
      {"/distillery.v1.CoordinatorService/ListLeases", "or"},
      {"/distillery.v1.CoordinatorService/ListWorkers", "or"},
      {"/distillery.v1.CoordinatorService/CancelRun", "o"},
      {"/distillery.v1.CoordinatorService/PauseRun", "o"},
      {"/distillery.v1.CoordinatorService/DeleteRun", "o"},
      {"/distillery.v1.CoordinatorService/ResumeRun", "o"},
      {"/distillery.v1.CoordinatorService/WatchRun", "or"},
      {"/distillery.v1.CoordinatorService/RegisterWorker", "w"},
      {"/distillery.v1.CoordinatorService/LeaseTask", "w"},
      {"/distillery.v1.CoordinatorService/RenewLease", "w"},
      {"/distillery.v1.CoordinatorService/ReleaseTask", "w"},
      {"/distillery.v1.CoordinatorService/DownloadWeights", "wor"},
      {"/distillery.v1.CoordinatorService/UploadDelta", "w"},
      {"/distillery.v1.CoordinatorService/GetUpload", "wo"},
      {"/distillery.v1.CoordinatorService/UploadWeights", "o"},
      {"/distillery.v1.CoordinatorService/ReportEvaluation", "w"},
      {"/distillery.v1.TeacherService/GetTeacher", "wor"},
      {"/distillery.v1.TeacherService/ListTeachers", "wor"},
      {"/distillery.v1.TeacherService/StreamSoftTargets", "wo"},
      {"/distillery.v1.TeacherService/ComputeSoftTargets", "wor"},
      {"/distillery.v1.TeacherService/DescribeDataset", "wor"},
      {"/distillery.v1.TeacherService/ReloadModel", "o"},
      {"/inference.GRPCInferenceService/ServerLive", "or"},
      {"/inference.GRPCInferenceService/ServerReady", "or"},
      {"/inference.GRPCInferenceService/ModelReady", "or"},
      {"/inference.GRPCInferenceService/ServerMetadata", "or"},
      {"/inference.GRPCInferenceService/ModelMetadata", "or"},
      {"/inference.GRPCInferenceService/ModelInfer", "or"},
      {"/inference.GRPCInferenceService/ModelConfig", "or"},
      {"/inference.GRPCInferenceService/ModelStatistics", "or"},
      {"/grpc.health.v1.Health/Check", "wors"},
      {"/grpc.health.v1.Health/Watch", "wors"},
      {kReflection, "wors"},
      {kOldReflection, "wors"}};
  return *expected;
}

// From the descriptors of all files under proto/.
std::set<std::string> AllRpcs() {
  const auto* const pool = google::protobuf::DescriptorPool::generated_pool();
  std::set<std::string> rpcs;
  const auto add = [&](const google::protobuf::ServiceDescriptor* service) {
    for (int i = 0; i < service->method_count(); ++i) {
      rpcs.insert(absl::StrCat("/", service->full_name(), "/", service->method(i)->name()));
    }
  };
  const std::string root = absl::StrCat(DISTILLERY_SOURCE_DIR, "/proto");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".proto") continue;
    const std::string name = std::filesystem::relative(entry.path(), root).string();
    const auto* const file = pool->FindFileByName(name);
    // Files that this program does not link have no service.
    for (int i = 0; file != nullptr && i < file->service_count(); ++i) add(file->service(i));
  }
  return rpcs;
}

class AccessTest : public ::testing::Test {
 protected:
  void Serve(const std::string& allowed_workers = "") {
    RpcServer::Options options;
    options.transport = authority_.IssueServer();
    options.allowed_workers = allowed_workers;
    auto started = RpcServer::Start(options, services_);
    ASSERT_THAT(started, IsOk());
    server_ = *std::move(started);
  }
  std::shared_ptr<grpc::Channel> Channel(const TransportOptions& transport) {
    auto channel = MakeChannel(server_->address(), transport);
    EXPECT_THAT(channel, IsOk());
    return *channel;
  }
  // Streams of gRPC's own services do not end by themselves.
  static absl::Status Call(const std::shared_ptr<grpc::Channel>& channel, const std::string& rpc) {
    const bool endless =
        rpc == absl::StrCat(kHealth, "Watch") || rpc == kReflection || rpc == kOldReflection;
    return CallEmpty(channel, rpc, endless ? absl::Milliseconds(500) : absl::Seconds(60));
  }

  TestAuthority authority_;
  // Each of their methods is UNIMPLEMENTED.
  v1::CoordinatorService::Service coordinator_;
  v1::TeacherService::Service teacher_;
  inference::GRPCInferenceService::Service inference_;
  const std::vector<RpcServer::Service> services_ = {
      {v1::CoordinatorService::service_full_name(), &coordinator_},
      {v1::TeacherService::service_full_name(), &teacher_},
      {inference::GRPCInferenceService::service_full_name(), &inference_}};
  std::unique_ptr<RpcServer> server_;
};

TEST_F(AccessTest, TheTableHasAnEntryForEachRpcThatThereIs) {
  const std::set<std::string> rpcs = AllRpcs();
  EXPECT_GE(rpcs.size(), 35);
  std::set<std::string> table;
  for (const Permission& permission : Permissions()) table.insert(permission.rpc);
  for (const std::string& rpc : rpcs) {
    EXPECT_EQ(table.count(rpc), 1) << rpc << " is missing in common/security/permissions.cc";
    EXPECT_EQ(Expected().count(rpc), 1) << rpc << " is missing in this test";
  }
  for (const std::string& rpc : table) {
    const bool newer = rpc == absl::StrCat(kHealth, "List");
    EXPECT_TRUE(rpcs.count(rpc) == 1 || newer) << "there is no " << rpc;
  }
}

TEST_F(AccessTest, Fault47_EachRoleReachesItsRpcsAndNoOther) {
  Serve();
  for (const Role role : kRoles) {
    const std::string name = RoleName(role);
    const auto channel = Channel(authority_.IssueRole(name, "a-" + name));
    const char letter = IsServer(role) ? 's' : name[0];
    for (const std::string& rpc : AllRpcs()) {
      const absl::Status status = Call(channel, rpc);
      const auto expected = Expected().find(rpc);
      ASSERT_NE(expected, Expected().end()) << rpc;
      if (expected->second.find(letter) == std::string::npos) {
        EXPECT_THAT(status, StatusIs(kDenied, AllOf(HasSubstr("\"a-" + name + "\" is " + name),
                                                    HasSubstr(rpc + " needs "))));
      } else {
        // As the handlers here end, or gRPC's.
        EXPECT_THAT(
            status.code(),
            ::testing::AnyOf(absl::StatusCode::kInternal, absl::StatusCode::kOk,
                             absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kUnimplemented))
            << name << " " << rpc << " " << status;
      }
    }
  }
}

TEST_F(AccessTest, Fault47_ACertificateWithoutARoleIsToldHowToGetOne) {
  Serve();
  const auto unknown =
      StatusIs(absl::StatusCode::kUnauthenticated,
               AllOf(HasSubstr("names no role"), HasSubstr("distillery certificates create")));
  const std::string rpc = "/distillery.v1.CoordinatorService/ListRuns";
  EXPECT_THAT(Call(Channel(authority_.Issue("none", "DNS:client")), rpc), unknown);
  EXPECT_THAT(Call(Channel(authority_.Issue("bare", "")), rpc), unknown);
  EXPECT_THAT(Call(Channel(authority_.Issue("other", "URI:spiffe://lab/worker/w")), rpc), unknown);
  EXPECT_THAT(Call(Channel(authority_.Issue("none", "DNS:client")), kHealthCheck), unknown);
  EXPECT_THAT(Call(Channel(authority_.Issue("two",
                                            "URI:spiffe://distillery/worker/w,"
                                            "URI:spiffe://distillery/operator/o")),
                   rpc),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("several roles")));
}

TEST_F(AccessTest, AnRpcThatIsNoneIsUnimplemented) {
  Serve();
  EXPECT_THAT(Call(Channel(authority_.IssueRole("operator", "o")), "/no.Such/Rpc"),
              StatusIs(absl::StatusCode::kUnimplemented));
}

TEST_F(AccessTest, Fault47_AWorkerThatIsNotOnTheListIsRefusedByName) {
  TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("allowed"), "worker-1  # the first\n"), IsOk());
  Serve(folder.File("allowed"));
  const std::string rpc = "/distillery.v1.CoordinatorService/LeaseTask";
  EXPECT_THAT(Call(Channel(authority_.IssueRole("worker", "worker-1")), rpc),
              Not(StatusIs(kDenied)));
  EXPECT_THAT(
      Call(Channel(authority_.IssueRole("worker", "worker-2")), rpc),
      StatusIs(kDenied, AllOf(HasSubstr("worker \"worker-2\" is not on"),
                              HasSubstr("--allowed-workers"), Not(HasSubstr(folder.path())))));
  // The list is for workers alone.
  EXPECT_THAT(Call(Channel(authority_.IssueRole("operator", "ada")),
                   "/distillery.v1.CoordinatorService/ListRuns"),
              Not(StatusIs(kDenied)));
}

TEST_F(AccessTest, RefusalsAreLoggedOnce) {
  LogLines lines;
  Serve();
  const auto channel = Channel(authority_.IssueRole("reader", "ada"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Call(channel, "/distillery.v1.CoordinatorService/SubmitRun"), StatusIs(kDenied));
  }
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_THAT(lines.Of("warning"),
              ElementsAre(AllOf(HasSubstr("refused /distillery.v1.CoordinatorService/SubmitRun"),
                                HasSubstr("reader"))));
}

TEST_F(AccessTest, PlainTextKnowsNoRoles) {
  ASSERT_OK_AND_ASSIGN(server_, RpcServer::Start({}, services_));
  EXPECT_THAT(Call(Channel({}), "/distillery.v1.CoordinatorService/SubmitRun"),
              Not(StatusIs(kDenied)));
  RpcServer::Options options;
  options.allowed_workers = "workers";
  EXPECT_THAT(RpcServer::Start(options, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--allowed-workers")));
}

}  // namespace
}  // namespace distillery
