#include "common/rpc/unknown_method.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/request_statistics.h"
#include "common/rpc/server.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "tests/common/rpc/raw_call.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::SizeIs;

const std::vector<std::string>& TeachersServices() {
  static const auto* const services = new std::vector<std::string>{
      v1::TeacherService::service_full_name(), "grpc.health.v1.Health"};
  return *services;
}

TEST(UnknownMethod, OfAServiceThatIsHereNamesTheNearest) {
  EXPECT_EQ(DescribeUnknownMethod("/distillery.v1.TeacherService/GetTeachr", TeachersServices()),
            "unknown method of distillery.v1.TeacherService \"GetTeachr\"; did you mean "
            "\"GetTeacher\"?");
}

TEST(UnknownMethod, OfAnotherProgramsServiceSaysWhichProgramThisIs) {
  EXPECT_EQ(DescribeUnknownMethod("/distillery.v1.CoordinatorService/ListRuns", TeachersServices()),
            "distillery.v1.CoordinatorService is a service of a coordinator, and this is a "
            "teacher: check "
            "host and port");
  EXPECT_EQ(DescribeUnknownMethod("/inference.GRPCInferenceService/ServerLive",
                                  {v1::CoordinatorService::service_full_name()}),
            "inference.GRPCInferenceService is a service of a teacher, and this is a coordinator: "
            "check host and port");
}

TEST(UnknownMethod, OfNoServiceListsWhatThereIs) {
  EXPECT_THAT(DescribeUnknownMethod("/other.Service/Do", TeachersServices()),
              AllOf(HasSubstr("unknown service \"other.Service\""),
                    HasSubstr("distillery.v1.TeacherService"), HasSubstr("this is a teacher")));
  EXPECT_THAT(DescribeUnknownMethod("/other.Service/Do", {}), HasSubstr("unknown service"));
}

TEST(UnknownMethod, ThatIsNoneIsSaidSoInAFewBytes) {
  for (const std::string& path :
       {std::string(), std::string("/"), std::string("//"), std::string("a/b"),
        std::string("/a/b/c"), std::string(1 << 20, '/'), "/" + std::string(1 << 20, 'x') + "/y",
        "/distillery.v1.TeacherService/" + std::string(1 << 20, 'x'),
        std::string("/\xFF\x01/\n")}) {
    const std::string text = DescribeUnknownMethod(path, TeachersServices());
    EXPECT_LT(text.size(), 512U);
    EXPECT_GT(text.size(), 8U);
    for (const char c : text) EXPECT_TRUE(c >= ' ' && c < 0x7F) << text;
  }
}

// Each of its methods is UNIMPLEMENTED, as is what does not parse: which is INTERNAL to callers.
class UnknownMethodCall : public ::testing::Test {
 protected:
  UnknownMethodCall() {
    RpcServer::Options options;
    options.address.clear();
    options.request_statistics = &statistics_;
    auto server = RpcServer::Start(options, {{v1::TeacherService::service_full_name(), &service_}});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
  }
  v1::TeacherService::CallbackService service_;
  RequestStatistics statistics_;
  std::unique_ptr<RpcServer> server_;
};

TEST_F(UnknownMethodCall, IsUnimplementedWithWhatThereIs) {
  const auto channel = server_->InProcessChannel();
  for (const auto& [method, text] : std::vector<std::pair<std::string, std::string>>{
           {"/grpc.reflection.v2.ServerReflection/ServerReflectionInfo", "unknown service"},
           {"/inference.GRPCInferenceService/RepositoryIndex", "unknown service"},
           {"/distillery.v1.CoordinatorService/ListRuns", "this is a teacher"},
           {"/distillery.v1.TeacherService/GetTeacherr", "did you mean \"GetTeacher\"?"},
           {"/grpc.health.v1.Health/Chek", "did you mean \"Check\"?"}}) {
    EXPECT_THAT(CallEmpty(channel, method),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(text)))
        << method;
  }
}

TEST_F(UnknownMethodCall, IsNotCounted) {
  const auto channel = server_->InProcessChannel();
  for (int i = 0; i < 10; ++i) {
    (void)CallEmpty(channel, absl::StrCat("/distillery.v1.TeacherService/Made", i));
    (void)CallEmpty(channel, absl::StrCat("/distillery.v2.TeacherService/Up", i));
  }
  EXPECT_THAT(statistics_.methods(), SizeIs(0));
  (void)CallEmpty(channel, "/distillery.v1.TeacherService/GetTeacher");
  EXPECT_THAT(statistics_.methods(), ElementsAre(Key("GetTeacher")));
}

}  // namespace
}  // namespace distillery
