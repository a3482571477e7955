// gRPC's server reflection over the descriptors of this program, in both versions that clients ask for:
// newer ones begin with v1, older ones know v1alpha alone. Debian's library has but the latter, and
// newer ones would define both once more: so neither is taken from there.
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

// The two services of reflection, which list `services` and themselves.
std::vector<NamedService> MakeReflectionServices(const std::vector<std::string>& services);

}  // namespace distillery
