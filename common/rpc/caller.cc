#include "common/rpc/caller.h"

#include <grpc/grpc_security_constants.h>

#include <optional>

namespace distillery {

absl::StatusOr<Identity> IdentityOf(const std::vector<std::string>& uris) {
  std::optional<Identity> identity;
  for (const std::string& uri : uris) {
    const absl::StatusOr<Identity> parsed = ParseIdentityUri(uri);
    if (!parsed.ok()) continue;
    if (identity.has_value()) {
      return absl::UnauthenticatedError("the client's certificate names several roles");
    }
    identity = *parsed;
  }
  if (identity.has_value()) return *identity;
  return absl::UnauthenticatedError(
      "the client's certificate names no role (a URI spiffe://distillery/ROLE/NAME): make one with "
      "`distillery certificates create DIR --role ROLE`");
}

std::string CertificateNameOf(const grpc::ServerContextBase& context) {
  const auto peer = context.auth_context();
  if (peer == nullptr) return "";
  std::vector<std::string> uris;
  for (const grpc::string_ref& uri : peer->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    uris.emplace_back(uri.data(), uri.size());
  }
  if (uris.empty()) return "";
  // ServerAccess has refused a call whose certificate names nobody.
  const absl::StatusOr<Identity> identity = IdentityOf(uris);
  return identity.ok() ? identity->name : "";
}

std::string ClientOf(const grpc::ServerContextBase& context) {
  if (const auto auth = context.auth_context(); auth != nullptr && auth->IsPeerAuthenticated()) {
    const std::vector<grpc::string_ref> names = auth->GetPeerIdentity();
    if (!names.empty()) return std::string(names.front().data(), names.front().size());
  }
  const std::string peer = context.peer();
  return peer.substr(0, peer.rfind(':'));
}

}  // namespace distillery
