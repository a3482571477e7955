// A server's TLS: asks for the client's certificate, lets ServerAccess decide on each call, and
// shows the certificate that is in the files when a client connects.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "common/rpc/server_access.h"
#include "common/security/tls_files.h"

namespace distillery {

std::shared_ptr<grpc::ServerCredentials> MakeTlsServerCredentials(
    std::shared_ptr<TlsFileWatch> files, std::shared_ptr<ServerAccess> access);

}  // namespace distillery
