// Reflection and health of a server, as stock clients ask for them.
#include "common/rpc/reflection_service.h"

#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Health = grpc::health::v1::Health;
using grpc::health::v1::HealthCheckResponse;

struct V1 {
  using Service = grpc::reflection::v1::ServerReflection;
  using Request = grpc::reflection::v1::ServerReflectionRequest;
  using Response = grpc::reflection::v1::ServerReflectionResponse;
};
struct V1Alpha {
  using Service = grpc::reflection::v1alpha::ServerReflection;
  using Request = grpc::reflection::v1alpha::ServerReflectionRequest;
  using Response = grpc::reflection::v1alpha::ServerReflectionResponse;
};

std::unique_ptr<RpcServer> StartWith(const std::vector<RpcServer::Service>& services) {
  RpcServer::Options options;
  options.address.clear();
  auto server = RpcServer::Start(options, services);
  EXPECT_THAT(server, IsOk());
  return *std::move(server);
}

template <typename Version>
class ReflectionTest : public ::testing::Test {
 protected:
  using Request = typename Version::Request;
  using Response = typename Version::Response;

  // All in one stream.
  std::vector<Response> Ask(const std::vector<Request>& requests) {
    const auto stub = Version::Service::NewStub(server_->InProcessChannel());
    grpc::ClientContext context;
    const auto stream = stub->ServerReflectionInfo(&context);
    std::vector<Response> responses;
    for (const Request& request : requests) {
      EXPECT_TRUE(stream->Write(request));
      responses.emplace_back();
      EXPECT_TRUE(stream->Read(&responses.back()));
      EXPECT_EQ(responses.back().original_request().SerializeAsString(),
                request.SerializeAsString());
    }
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    return responses;
  }
  std::set<std::string> Files(const Request& request) {
    std::set<std::string> names;
    const Response response = Ask({request})[0];
    for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      EXPECT_TRUE(names.insert(file.name()).second) << file.name() << " comes twice";
    }
    EXPECT_FALSE(response.has_error_response()) << response.ShortDebugString();
    return names;
  }
  v1::TeacherService::CallbackService teacher_;
  v1::CoordinatorService::CallbackService coordinator_;
  std::unique_ptr<RpcServer> server_ =
      StartWith({{v1::TeacherService::service_full_name(), &teacher_},
                 {v1::CoordinatorService::service_full_name(), &coordinator_}});
};

using Versions = ::testing::Types<V1, V1Alpha>;
TYPED_TEST_SUITE(ReflectionTest, Versions);

TYPED_TEST(ReflectionTest, EachServiceThatIsListedHasADescriptorWithAllThatItNeeds) {
  typename TypeParam::Request list;
  list.set_host("anything");
  list.set_list_services("*");
  const auto response = this->Ask({list})[0];
  EXPECT_EQ(response.valid_host(), "anything");
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_THAT(names, ElementsAre("distillery.v1.CoordinatorService", "distillery.v1.TeacherService",
                                 "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                                 "grpc.reflection.v1alpha.ServerReflection"));
  for (const std::string& name : names) {
    typename TypeParam::Request request;
    request.set_file_containing_symbol(name);
    const auto found = this->Ask({request})[0];
    google::protobuf::DescriptorPool pool;
    const auto& files = found.file_descriptor_response().file_descriptor_proto();
    for (int i = files.size() - 1; i >= 0; --i) {  // what a file needs comes behind it
      google::protobuf::FileDescriptorProto file;
      ASSERT_TRUE(file.ParseFromString(files[i]));
      EXPECT_NE(pool.BuildFile(file), nullptr) << name;
    }
    EXPECT_NE(pool.FindServiceByName(name), nullptr) << name;
  }
}

TYPED_TEST(ReflectionTest, FilesAreFoundByNameAndBySymbol) {
  const std::set<std::string> teacher = {"distillery/v1/teacher_service.proto",
                                         "distillery/v1/tensor.proto"};
  typename TypeParam::Request request;
  request.set_file_by_filename("distillery/v1/teacher_service.proto");
  EXPECT_EQ(this->Files(request), teacher);
  for (const char* const symbol :
       {"distillery.v1.TeacherService.GetTeacher", "distillery.v1.GetTeacherRequest",
        "distillery.v1.Encoding", "distillery.v1.Teacher.model_name"}) {
    request.set_file_containing_symbol(symbol);
    EXPECT_EQ(this->Files(request), teacher) << symbol;
  }
}

TYPED_TEST(ReflectionTest, WhatIsNotThereIsAnErrorThatDoesNotEndTheStream) {
  std::vector<typename TypeParam::Request> requests(7);
  requests[0].set_file_by_filename("absent.proto");
  requests[1].set_file_containing_symbol("absent.Symbol");
  requests[2].mutable_file_containing_extension()->set_containing_type("absent.Message");
  requests[3].mutable_file_containing_extension()->set_containing_type("distillery.v1.Teacher");
  requests[4].set_all_extension_numbers_of_type("absent.Message");
  requests[6].set_list_services("");
  const auto responses = this->Ask(requests);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(responses[i].error_response().error_code(), grpc::StatusCode::NOT_FOUND) << i;
    EXPECT_THAT(responses[i].error_response().error_message(), HasSubstr("not found"));
  }
  EXPECT_EQ(responses[5].error_response().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(responses[6].list_services_response().service_size(), 5);
}

TYPED_TEST(ReflectionTest, AMessageWithoutExtensionsHasNone) {
  typename TypeParam::Request request;
  request.set_all_extension_numbers_of_type("distillery.v1.Teacher");
  const auto response = this->Ask({request})[0];
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(), "distillery.v1.Teacher");
  EXPECT_EQ(response.all_extension_numbers_response().extension_number_size(), 0);
}

// --- health, by name ---

absl::StatusOr<HealthCheckResponse::ServingStatus> HealthOf(RpcServer& server,
                                                            const std::string& service) {
  const auto stub = Health::NewStub(server.InProcessChannel());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  const absl::Status status = FromGrpcStatus(stub->Check(&context, request, &response));
  if (!status.ok()) return status;
  return response.status();
}

TEST(Health, EachServiceHasAStateByItsName) {
  v1::TeacherService::CallbackService teacher;
  const auto server = StartWith({{v1::TeacherService::service_full_name(), &teacher}});
  const std::vector<std::string> names = {
      "", "distillery.v1.TeacherService", "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"};
  for (const bool serving : {false, true, false}) {
    server->SetServing(serving);
    for (const std::string& name : names) {
      ASSERT_OK_AND_ASSIGN(const auto health, HealthOf(*server, name));
      EXPECT_EQ(health, serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING)
          << name;
    }
  }
  for (const char* const unknown : {"distillery.v1.CoordinatorService", "a model"}) {
    EXPECT_THAT(HealthOf(*server, unknown).status(), StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST(Health, NothingServesBeforeItSaysSo) {
  v1::TeacherService::CallbackService teacher;
  const auto server = StartWith({{v1::TeacherService::service_full_name(), &teacher}});
  for (const char* const name : {"", "distillery.v1.TeacherService"}) {
    ASSERT_OK_AND_ASSIGN(const auto health, HealthOf(*server, name));
    EXPECT_EQ(health, HealthCheckResponse::NOT_SERVING);
  }
}

}  // namespace
}  // namespace distillery
