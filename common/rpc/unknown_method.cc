#include "common/rpc/unknown_method.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/names.h"

namespace distillery {
namespace {

// Which of our programs has a service.
const std::map<std::string, std::string>& Programs() {
  static const auto* const programs =
      new std::map<std::string, std::string>{{"distillery.v1.CoordinatorService", "coordinator"},
                                             {"distillery.v1.TeacherService", "teacher"},
                                             {"inference.GRPCInferenceService", "teacher"}};
  return *programs;
}

// "a teacher", of a server with these services; "" if it is none of ours.
std::string DescribeProgram(const std::vector<std::string>& services) {
  std::set<std::string> programs;
  for (const std::string& service : services) {
    const auto program = Programs().find(service);
    if (program != Programs().end()) programs.insert(absl::StrCat("a ", program->second));
  }
  return absl::StrJoin(programs, " and ");
}

std::vector<std::string> MethodsOf(const std::string& service) {
  std::vector<std::string> methods;
  const auto* const descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service);
  for (int i = 0; descriptor != nullptr && i < descriptor->method_count(); ++i) {
    methods.push_back(descriptor->method(i)->name());
  }
  return methods;
}

class Refusal : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const std::string& message) {
    Finish({grpc::StatusCode::UNIMPLEMENTED, message});
  }
  void OnDone() override { delete this; }
};

}  // namespace

std::string DescribeUnknownMethod(const std::string& path,
                                  const std::vector<std::string>& services) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (parts.size() != 3 || !parts[0].empty()) {
    return absl::StrCat("no method is called \"", Printable(path), "\"");
  }
  const std::string& service = parts[1];
  if (std::find(services.begin(), services.end(), service) != services.end()) {
    return UnknownName(absl::StrCat("method of ", service), parts[2], MethodsOf(service));
  }
  const std::string here = DescribeProgram(services);
  const auto elsewhere = Programs().find(service);
  if (elsewhere != Programs().end() && !here.empty() &&
      !absl::StrContains(here, elsewhere->second)) {
    return absl::StrCat(service, " is a service of a ", elsewhere->second, ", and this is ", here,
                        ": check host and port");
  }
  return absl::StrCat(UnknownName("service", service, services),
                      here.empty() ? "" : absl::StrCat("; this is ", here));
}

grpc::ServerGenericBidiReactor* UnknownMethodService::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  return new Refusal(DescribeUnknownMethod(context->method(), services_));
}

}  // namespace distillery
