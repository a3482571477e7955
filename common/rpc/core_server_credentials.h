// A server's credentials, plain or TLS, with a look at each call before gRPC queues it: CallQuota
// says whether there is room for it, and with TLS ServerAccess whether the client's certificate may
// make it. TLS shows the certificate that is in the files when a client connects.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "common/rpc/call_quota.h"
#include "common/rpc/server_access.h"
#include "common/security/tls_files.h"

namespace distillery {

// `files` null: plain text, and `access` is not asked; `quota` null: calls are not counted. A
// server with these credentials must have the interceptors of MakeQuotaInterceptors.
std::shared_ptr<grpc::ServerCredentials> MakeCoreServerCredentials(
    std::shared_ptr<TlsFileWatch> files, std::shared_ptr<ServerAccess> access,
    std::shared_ptr<CallQuota> quota);

// Tell the quota that a call has ended.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeQuotaInterceptors(
    std::shared_ptr<CallQuota> quota);

}  // namespace distillery
