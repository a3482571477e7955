// Who a call comes from.
#pragma once

#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/security/role.h"

namespace distillery {

// The one identity that a certificate's URIs name. UNAUTHENTICATED if they name none, or several.
absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris);

// The name in the caller's certificate; "" if the connection asks for none.
std::string CertificateNameOf(const grpc::ServerContextBase& context);

}  // namespace distillery
