// The rules of the contract (AIP and buf STANDARD naming, and our own), checked on every element of
// every .proto file. Of a protocol of others, comments are all that is asked.
#include "tests/proto/contract.h"

#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <set>

#include "distillery/v1/coordinator_service.pb.h"
#include "distillery/v1/teacher_service.pb.h"
#include "inference/grpc_service.pb.h"
#include "tests/proto/open_inference_fields.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

// Read once.
const Contract& Protos() {
  static const auto* const contract = new Contract(Contract::Owner::kOurs);
  return *contract;
}
const Contract& Foreign() {
  static const auto* const contract = new Contract(Contract::Owner::kForeign);
  return *contract;
}

TEST(Contract, FilesAreThoseThatAreCompiledIn) {
  // Named here, so that the linker keeps them.
  std::set<std::string> names = {
      v1::GetTeacherRequest::descriptor()->file()->name(),
      v1::GetRunRequest::descriptor()->file()->name(), v1::RunSpec::descriptor()->file()->name(),
      v1::TrainMetrics::descriptor()->file()->name(), v1::Tensor::descriptor()->file()->name()};
  EXPECT_EQ(Protos().files().size(), names.size());
  for (const FileDescriptor* const file : Protos().files()) {
    const FileDescriptor* const compiled =
        google::protobuf::DescriptorPool::generated_pool()->FindFileByName(file->name());
    ASSERT_NE(compiled, nullptr) << file->name() << " is not in proto/CMakeLists.txt";
    EXPECT_EQ(compiled->message_type_count(), file->message_type_count());
    EXPECT_EQ(names.count(file->name()), 1) << file->name();
  }
  for (const FileDescriptor* const file : Foreign().files()) {
    EXPECT_EQ(file->name(), inference::ModelInferRequest::descriptor()->file()->name());
  }
}

TEST(Contract, PackageIsDistilleryV1InItsFolder) {
  for (const FileDescriptor* const file : Protos().files()) {
    EXPECT_EQ(file->package(), "distillery.v1");
    EXPECT_THAT(file->name(), StartsWith("distillery/v1/"));
    EXPECT_EQ(file->syntax(), FileDescriptor::SYNTAX_PROTO3);
  }
}

TEST(Contract, ServicesEndInService) {
  for (const MethodDescriptor* const method : Protos().Methods()) {
    EXPECT_THAT(method->service()->name(), EndsWith("Service"));
  }
}

TEST(Contract, EachRpcHasARequestAndAResponseOfItsOwn) {
  std::set<std::string> messages;
  for (const MethodDescriptor* const method : Protos().Methods()) {
    EXPECT_EQ(method->input_type()->name(), method->name() + "Request");
    EXPECT_EQ(method->output_type()->name(), method->name() + "Response");
    EXPECT_TRUE(messages.insert(method->input_type()->full_name()).second);
    EXPECT_TRUE(messages.insert(method->output_type()->full_name()).second);
  }
  EXPECT_FALSE(messages.empty());
}

TEST(Contract, EnumValuesCarryTheEnumsNameAndBeginUnspecified) {
  ASSERT_FALSE(Protos().Enums().empty());
  for (const EnumDescriptor* const type : Protos().Enums()) {
    const std::string prefix = UpperSnake(type->name()) + "_";
    EXPECT_EQ(type->value(0)->name(), prefix + "UNSPECIFIED");
    EXPECT_EQ(type->value(0)->number(), 0);
    for (int i = 0; i < type->value_count(); ++i) {
      EXPECT_THAT(type->value(i)->name(), StartsWith(prefix));
    }
  }
}

TEST(Contract, FieldsAreNamedInLowerSnakeCase) {
  const std::regex snake("[a-z][a-z0-9]*(_[a-z0-9]+)*");
  for (const FieldDescriptor* const field : Protos().Fields()) {
    EXPECT_TRUE(std::regex_match(field->name(), snake)) << field->full_name();
  }
}

TEST(Contract, NoFieldIsUnsignedButChecksums) {
  for (const FieldDescriptor* const field : Protos().Fields()) {
    const bool is_unsigned = field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ||
                             field->cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    if (field->name() == "crc32c") {
      EXPECT_EQ(field->type(), FieldDescriptor::TYPE_FIXED32) << field->full_name();
    } else {
      EXPECT_FALSE(is_unsigned) << field->full_name();
    }
  }
}

TEST(Contract, CountsEndInCountAndDurationsInTheirUnit) {
  // Other ways to write them.
  const std::regex count("(num|number|nr|no|n|total|count)_.*|.*_(num|number|total|counts)|count");
  const std::regex duration(".*_(sec|secs|ms|millis|us|ns|time|timeout|duration|interval|wait)");
  for (const FieldDescriptor* const field : Protos().Fields()) {
    EXPECT_FALSE(std::regex_match(field->name(), count)) << field->full_name();
    EXPECT_FALSE(std::regex_match(field->name(), duration)) << field->full_name();
    if (std::regex_match(field->name(), std::regex(".*_count"))) {
      const bool whole = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ||
                         field->cpp_type() == FieldDescriptor::CPPTYPE_INT64;
      EXPECT_TRUE(whole && !field->is_repeated()) << field->full_name();
    }
  }
}

void ExpectComments(const Contract& protos) {
  const auto commented = [](const auto& element, const std::string& name) {
    EXPECT_GT(Comment(element).size(), 3) << name << " has no comment above it";
  };
  for (const FileDescriptor* const file : protos.files()) {
    for (int i = 0; i < file->service_count(); ++i) {
      commented(*file->service(i), file->service(i)->full_name());
    }
  }
  for (const MethodDescriptor* const method : protos.Methods()) {
    commented(*method, method->full_name());
  }
  for (const Descriptor* const message : protos.Messages()) {
    commented(*message, message->full_name());
  }
  for (const FieldDescriptor* const field : protos.Fields()) {
    commented(*field, field->full_name());
  }
  for (const EnumDescriptor* const type : protos.Enums()) {
    commented(*type, type->full_name());
    for (int i = 0; i < type->value_count(); ++i) {
      commented(*type->value(i), type->value(i)->full_name());
    }
  }
}

TEST(Contract, EveryElementHasAComment) { ExpectComments(Protos()); }

TEST(ForeignContract, EveryElementHasAComment) { ExpectComments(Foreign()); }

// Stock clients bring their own copy of the file: a number that moved would go unseen by ours.
TEST(ForeignContract, NumbersAreThoseOfTheProtocol) {
  ASSERT_EQ(Foreign().files().size(), 1U);
  EXPECT_EQ(Foreign().files()[0]->package(), "inference");
  std::set<std::string> fields;
  for (const FieldDescriptor* const field : Foreign().Fields()) {
    std::string type = field->type_name();
    if (field->message_type() != nullptr) type = field->message_type()->name();
    if (field->enum_type() != nullptr) type = field->enum_type()->name();
    if (field->is_repeated()) type = "repeated " + type;
    if (field->is_map()) type = "map";
    const std::string name = field->full_name().substr(std::string("inference.").size());
    fields.insert(type + " " + name + "=" + std::to_string(field->number()));
  }
  EXPECT_THAT(fields, UnorderedElementsAreArray(kOpenInferenceFields));
}

TEST(ForeignContract, ServesTheSixCallsOfTheProtocolAndTwoOfTritonsExtensions) {
  std::set<std::string> methods;
  for (const MethodDescriptor* const method : Foreign().Methods()) {
    EXPECT_EQ(method->service()->full_name(), "inference.GRPCInferenceService");
    EXPECT_EQ(method->input_type()->full_name(), "inference." + method->name() + "Request");
    EXPECT_EQ(method->output_type()->full_name(), "inference." + method->name() + "Response");
    EXPECT_FALSE(method->client_streaming() || method->server_streaming());
    methods.insert(method->name());
  }
  EXPECT_THAT(methods,
              ElementsAre("ModelConfig", "ModelInfer", "ModelMetadata", "ModelReady",
                          "ModelStatistics", "ServerLive", "ServerMetadata", "ServerReady"));
}

// Other clients bring their own copies of these too.
TEST(GrpcContract, NumbersAreThoseOfGrpc) {
  const Contract contract(Contract::Owner::kGrpc);
  ExpectComments(contract);
  std::map<std::string, std::set<std::string>> fields;
  for (const FieldDescriptor* const field : contract.Fields()) {
    fields[field->file()->package()].insert((field->is_repeated() ? "repeated " : "") +
                                            std::string(field->type_name()) + " " +
                                            field->containing_type()->name() + "." + field->name() +
                                            "=" + std::to_string(field->number()));
  }
  const std::set<std::string> reflection = {
      "string ServerReflectionRequest.host=1",
      "string ServerReflectionRequest.file_by_filename=3",
      "string ServerReflectionRequest.file_containing_symbol=4",
      "message ServerReflectionRequest.file_containing_extension=5",
      "string ServerReflectionRequest.all_extension_numbers_of_type=6",
      "string ServerReflectionRequest.list_services=7",
      "string ExtensionRequest.containing_type=1",
      "int32 ExtensionRequest.extension_number=2",
      "string ServerReflectionResponse.valid_host=1",
      "message ServerReflectionResponse.original_request=2",
      "message ServerReflectionResponse.file_descriptor_response=4",
      "message ServerReflectionResponse.all_extension_numbers_response=5",
      "message ServerReflectionResponse.list_services_response=6",
      "message ServerReflectionResponse.error_response=7",
      "repeated bytes FileDescriptorResponse.file_descriptor_proto=1",
      "string ExtensionNumberResponse.base_type_name=1",
      "repeated int32 ExtensionNumberResponse.extension_number=2",
      "repeated message ListServiceResponse.service=1",
      "string ServiceResponse.name=1",
      "int32 ErrorResponse.error_code=1",
      "string ErrorResponse.error_message=2"};
  EXPECT_EQ(fields["grpc.reflection.v1"], reflection);
  EXPECT_EQ(fields["grpc.reflection.v1alpha"], reflection);
  EXPECT_EQ(fields["grpc.health.v1"], (std::set<std::string>{"string HealthCheckRequest.service=1",
                                                             "enum HealthCheckResponse.status=1"}));
  EXPECT_EQ(fields.size(), 3U);
  std::set<std::string> methods;
  for (const MethodDescriptor* const method : contract.Methods()) {
    methods.insert(method->full_name());
  }
  EXPECT_THAT(methods,
              ElementsAre("grpc.health.v1.Health.Check", "grpc.health.v1.Health.Watch",
                          "grpc.reflection.v1.ServerReflection.ServerReflectionInfo",
                          "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo"));
}

// TensorBoard knows fields by their numbers alone: these are from its event.proto, summary.proto
// and histogram.proto.
TEST(EventFileContract, NumbersAreTensorBoards) {
  const Contract contract(Contract::Owner::kTensorBoard);
  ExpectComments(contract);
  ASSERT_EQ(contract.files().size(), 1U);
  EXPECT_EQ(contract.files()[0]->package(), "distillery.tensorboard.v1");
  std::set<std::string> fields;
  for (const FieldDescriptor* const field : contract.Fields()) {
    fields.insert(field->containing_type()->name() + "." + field->name() + " " +
                  field->type_name() + (field->is_packed() ? " packed " : " ") +
                  std::to_string(field->number()));
  }
  EXPECT_THAT(
      fields,
      UnorderedElementsAre(
          "Event.wall_time double 1", "Event.step int64 2", "Event.file_version string 3",
          "Event.summary message 5", "Summary.value message 1", "Value.tag string 1",
          "Value.simple_value float 2", "Value.histo message 5", "HistogramProto.min double 1",
          "HistogramProto.max double 2", "HistogramProto.num double 3",
          "HistogramProto.sum double 4", "HistogramProto.sum_squares double 5",
          "HistogramProto.bucket_limit double packed 6", "HistogramProto.bucket double packed 7"));
}

TEST(Contract, EveryRpcNamesItsStatusCodes) {
  const std::regex code(
      "\\b(INVALID_ARGUMENT|FAILED_PRECONDITION|NOT_FOUND|ABORTED|UNAVAILABLE|RESOURCE_EXHAUSTED|"
      "DATA_LOSS|UNAUTHENTICATED|PERMISSION_DENIED)\\b|as [A-Z][A-Za-z]+\\.");
  for (const MethodDescriptor* const method : Protos().Methods()) {
    const std::string comment = Comment(*method);
    EXPECT_THAT(comment, HasSubstr("Errors: ")) << method->full_name();
    EXPECT_TRUE(std::regex_search(comment, code)) << method->full_name() << ": " << comment;
    // These two are bugs, never part of a contract.
    EXPECT_THAT(comment, Not(HasSubstr("UNKNOWN"))) << method->full_name();
    EXPECT_THAT(comment, Not(HasSubstr("INTERNAL"))) << method->full_name();
  }
}

// Read() returns false both at the end and on a message that does not parse: only an explicit last
// message tells a whole stream from a broken one.
TEST(Contract, BulkStreamsAreHeaderChunksAndTrailer) {
  int streams = 0;
  for (const MethodDescriptor* const method : Protos().Methods()) {
    if (method->name() == "WatchRun") continue;  // each of its messages is whole in itself
    for (const Descriptor* const message :
         {method->client_streaming() ? method->input_type() : nullptr,
          method->server_streaming() ? method->output_type() : nullptr}) {
      if (message == nullptr) continue;
      ++streams;
      ASSERT_EQ(message->oneof_decl_count(), 1) << message->full_name();
      const auto* const choice = message->oneof_decl(0);
      EXPECT_EQ(choice->field_count(), message->field_count()) << message->full_name();
      EXPECT_EQ(choice->field(0)->name(), "header") << message->full_name();
      const FieldDescriptor* const trailer = choice->field(choice->field_count() - 1);
      ASSERT_EQ(trailer->name(), "trailer") << message->full_name();
      EXPECT_NE(trailer->message_type()->FindFieldByName("byte_count"), nullptr);
      EXPECT_NE(trailer->message_type()->FindFieldByName("crc32c"), nullptr);
    }
  }
  EXPECT_GE(streams, 3);  // soft targets, weights down, deltas up
}

TEST(Contract, ControlCallsThatChangeSomethingCarryARequestId) {
  for (const MethodDescriptor* const method : Protos().Methods()) {
    const bool reads = std::regex_match(
        method->name(), std::regex("(Get|List|Describe|Watch|Stream|Download|Compute).*"));
    // A renewal may be repeated as it is: it sets the deadline anew.
    if (reads || method->name() == "RenewLease" || method->client_streaming()) continue;
    EXPECT_NE(method->input_type()->FindFieldByName("request_id"), nullptr) << method->full_name();
  }
}

TEST(UpperSnake, FollowsTheWords) {
  EXPECT_EQ(UpperSnake("TaskKind"), "TASK_KIND");
  EXPECT_EQ(UpperSnake("Encoding"), "ENCODING");
}

}  // namespace
}  // namespace distillery
