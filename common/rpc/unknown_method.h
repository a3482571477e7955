// What a server answers to a call of a method that it does not have: UNIMPLEMENTED, as newer clients
// ask for in order to fall back to older methods, with what there is in its place.
//
// Threads: safe for all.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <string>
#include <utility>
#include <vector>

namespace distillery {

// `path`: "/package.Service/Method", as it came. `services`: the full names of those that are there.
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
