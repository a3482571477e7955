// Tells who a call comes from.
#pragma once

#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/security/role.h"

namespace distillery {

// The identity that a certificate's URIs name. UNAUTHENTICATED if they name none, or more than one.
absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris);

// The name in the caller's certificate; "" if the connection does not ask for certificates.
std::string CertificateNameOf(const grpc::ServerContextBase& context);
// Whom limits count: the certificate's name, else the address without its port.
std::string ClientOf(const grpc::ServerContextBase& context);

}  // namespace distillery
