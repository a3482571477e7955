// The answer of a server to a call of a method that it does not have: UNIMPLEMENTED, by which newer
// clients know that they must fall back to older methods, with a message that names what there is.
//
// Threads: safe for all.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <string>
#include <utility>
#include <vector>

namespace distillery {

// The message. `path`: "/package.Service/Method", as it came. `services`: the full names of the
// services that there are.
std::string DescribeUnknownMethod(const std::string& path,
                                  const std::vector<std::string>& services);

// For ServerBuilder::RegisterCallbackGenericService.
class UnknownMethodService : public grpc::CallbackGenericService {
 public:
  explicit UnknownMethodService(std::vector<std::string> services)
      : services_(std::move(services)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

 private:
  const std::vector<std::string> services_;
};

}  // namespace distillery
