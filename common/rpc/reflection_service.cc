#include "common/rpc/reflection_service.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace distillery {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

namespace reflection_v1 = grpc::reflection::v1;
namespace v1alpha = grpc::reflection::v1alpha;

// `file` and all that it needs, once each.
template <typename Answer>
void AddFiles(const FileDescriptor* file, std::set<const FileDescriptor*>* added, Answer* answer) {
  if (!added->insert(file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  answer->add_file_descriptor_proto(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) {
    AddFiles(file->dependency(i), added, answer);
  }
}

// Messages of either version: they differ in their package alone.
template <typename Request, typename Response>
void Answer(const std::vector<std::string>& services, const Request& request, Response* response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  response->set_valid_host(request.host());
  *response->mutable_original_request() = request;
  const auto not_found = [&](const std::string& what) {
    response->mutable_error_response()->set_error_code(grpc::StatusCode::NOT_FOUND);
    response->mutable_error_response()->set_error_message(what);
  };
  const auto answer_file = [&](const FileDescriptor* file, const std::string& asked) {
    if (file == nullptr) return not_found(absl::StrCat("not found: ", Printable(asked)));
    std::set<const FileDescriptor*> added;
    AddFiles(file, &added, response->mutable_file_descriptor_response());
  };
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      return answer_file(pool.FindFileByName(request.file_by_filename()),
                         request.file_by_filename());
    case Request::kFileContainingSymbol:
      return answer_file(pool.FindFileContainingSymbol(request.file_containing_symbol()),
                         request.file_containing_symbol());
    case Request::kFileContainingExtension: {
      const auto& asked = request.file_containing_extension();
      const auto* const extended = pool.FindMessageTypeByName(asked.containing_type());
      const FieldDescriptor* const extension =
          extended == nullptr ? nullptr
                              : pool.FindExtensionByNumber(extended, asked.extension_number());
      return answer_file(
          extension == nullptr ? nullptr : extension->file(),
          absl::StrCat("extension ", asked.extension_number(), " of ", asked.containing_type()));
    }
    case Request::kAllExtensionNumbersOfType: {
      const std::string& name = request.all_extension_numbers_of_type();
      const auto* const extended = pool.FindMessageTypeByName(name);
      if (extended == nullptr) return not_found(absl::StrCat("not found: ", Printable(name)));
      auto* const answer = response->mutable_all_extension_numbers_response();
      answer->set_base_type_name(name);
      std::vector<const FieldDescriptor*> extensions;
      pool.FindAllExtensions(extended, &extensions);
      for (const FieldDescriptor* const extension : extensions) {
        answer->add_extension_number(extension->number());
      }
      return;
    }
    case Request::kListServices:
      for (const std::string& service : services) {
        response->mutable_list_services_response()->add_service()->set_name(service);
      }
      return;
    case Request::MESSAGE_REQUEST_NOT_SET:
      response->mutable_error_response()->set_error_code(grpc::StatusCode::INVALID_ARGUMENT);
      response->mutable_error_response()->set_error_message("message_request is not set");
  }
}

// One stream of questions.
template <typename Request, typename Response>
class Conversation : public grpc::ServerBidiReactor<Request, Response> {
 public:
  explicit Conversation(const std::vector<std::string>& services) : services_(services) {
    this->StartRead(&request_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::OK);
    response_.Clear();
    Answer(services_, request_, &response_);
    this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish({grpc::StatusCode::CANCELLED, "the client went away"});
    this->StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  const std::vector<std::string>& services_;
  Request request_;
  Response response_;
};

template <typename Protocol, typename Request, typename Response>
class Reflection final : public Protocol::CallbackService {
 public:
  explicit Reflection(std::vector<std::string> services) : services_(std::move(services)) {}
  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* /*context*/) override {
    return new Conversation<Request, Response>(services_);
  }

 private:
  const std::vector<std::string> services_;
};

}  // namespace

std::vector<NamedService> MakeReflectionServices(const std::vector<std::string>& services) {
  // Named, so that the linker keeps it: the library serves it without a descriptor.
  const std::string health =
      grpc::health::v1::HealthCheckRequest::descriptor()->file()->package() + ".Health";
  const std::string newer = reflection_v1::ServerReflection::service_full_name();
  const std::string older = v1alpha::ServerReflection::service_full_name();
  std::vector<std::string> all = services;
  all.insert(all.end(), {health, newer, older});
  std::sort(all.begin(), all.end());
  std::vector<NamedService> made;
  made.emplace_back(
      newer, std::make_unique<
                 Reflection<reflection_v1::ServerReflection, reflection_v1::ServerReflectionRequest,
                            reflection_v1::ServerReflectionResponse>>(all));
  made.emplace_back(
      older,
      std::make_unique<Reflection<v1alpha::ServerReflection, v1alpha::ServerReflectionRequest,
                                  v1alpha::ServerReflectionResponse>>(all));
  return made;
}

}  // namespace distillery
