// Requests that no honest client sends.
#include "common/base/philox.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/rpc/teacher_server.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCompute[] = "/distillery.v1.TeacherService/ComputeSoftTargets";
constexpr char kStream[] = "/distillery.v1.TeacherService/StreamSoftTargets";

class HostileRequest : public ::testing::Test {
 protected:
  HostileRequest() : server_(WithDataDir(folder_.path())) {
    server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_));
  }
  static TeacherServer::Options WithDataDir(const std::string& folder) {
    TeacherServer::Options options;
    options.host.data_dir = folder;
    return options;
  }
  void ExpectUsable() {
    v1::ComputeSoftTargetsResponse response;
    EXPECT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
  }
  const TemporaryFolder folder_;
  FakeTeacherProbe probe_;
  TeacherServer server_;
};

TEST_F(HostileRequest, Fault36_RandomBytesNeverReachTheTeacher) {
  RandomStream random(1, "hostile request");
  for (int i = 0; i < 200; ++i) {
    // 0xFF first: a tag whose wire type 7 does not exist, so that nothing can parse.
    std::string bytes = "\xFF";
    for (uint64_t left = random.Below(64); left > 0; --left) {
      bytes += static_cast<char>(random.Below(256));
    }
    for (const char* const method : {kCompute, kStream}) {
      const grpc::Status status = RawCall(server_.channel(), method, bytes).first;
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL) << method << " " << i;
    }
  }
  EXPECT_EQ(probe_.calls.load(), 0);
  ExpectUsable();
}

TEST_F(HostileRequest, Fault48_NamesThatAreNoNamesAreRefusedWithoutALocalPath) {
  for (const std::string& name :
       {std::string("../../etc/passwd"), std::string("/etc/passwd"), std::string(".."),
        std::string(".hidden"), std::string("a/b"), std::string(""), std::string("a\0b", 3),
        std::string("digits\n"), std::string(1 << 20, 'x')}) {
    v1::StreamSoftTargetsRequest request = StreamRequest();
    request.mutable_dataset()->set_name(name);
    const absl::Status status = ReadWholeStream(server_, request).status;
    EXPECT_THAT(status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dataset.name must be")));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder_.path())));
    EXPECT_LT(status.message().size(), 512U);
  }
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_split(std::string(1 << 20, 'x'));
  EXPECT_LT(ReadWholeStream(server_, request).status.message().size(), 512U);
  request = StreamRequest();
  request.mutable_augmentation()->set_name("../" + std::string(1 << 20, 'x'));
  const absl::Status status = ReadWholeStream(server_, request).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("augmentation")));
  EXPECT_LT(status.message().size(), 512U);
  EXPECT_EQ(probe_.calls.load(), 0);
  ExpectUsable();
}

TEST_F(HostileRequest, Fault48_BadUtf8IsNoMessage) {
  // StreamSoftTargetsRequest{dataset = 1: DatasetSelector{name = 1: "\xC3\x28"}}: proto3 text is
  // UTF-8, so these bytes do not parse, and gRPC itself answers.
  const std::string bytes("\x0A\x04\x0A\x02\xC3\x28", 6);
  const grpc::Status status = RawCall(server_.channel(), kStream, bytes).first;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), Not(HasSubstr(folder_.path())));
  ExpectUsable();
}

TEST_F(HostileRequest, NoLocalPathIsInANotFoundMessage) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_name("absent");
  const absl::Status status = ReadWholeStream(server_, request).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder_.path())));
}

}  // namespace
}  // namespace distillery
