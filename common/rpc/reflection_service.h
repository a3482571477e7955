// gRPC's server reflection over the descriptors of this program, in both versions that clients ask
// for: newer clients begin with v1, older ones know only v1alpha. Neither is taken from gRPC's
// library: that of Debian 12 has only v1alpha, and a newer one has both, so that they would be
// defined twice.
//
// Threads: safe for all; reactors never block.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace distillery {

// The full name of a service, and who serves it.
using NamedService = std::pair<std::string, std::unique_ptr<grpc::Service>>;

// The two services of reflection. They list `services` and themselves.
std::vector<NamedService> MakeReflectionServices(const std::vector<std::string>& services);

}  // namespace distillery
