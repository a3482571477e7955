// Why a connection does not come about, as far as TLS is the reason: one handshake of our own, for
// gRPC only says that it failed.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/security/tls_files.h"

namespace distillery {

struct HandshakeQuestion {
  // "host:port"; "[::1]:7001" is one. A unix socket is not asked.
  std::string address;
  // What the server's certificate must show; empty: the host of `address`.
  std::string name;
  // Null: plain text.
  const TlsFiles* files = nullptr;
  // For each step: resolving aside, connecting, the handshake, the server's first word.
  absl::Duration timeout = absl::Seconds(2);
};

// FAILED_PRECONDITION says what is wrong and what to do about it. OK if TLS is not the reason, or
// if nobody answers. Blocks.
// REQUIRES: SIGPIPE is ignored (StopSignal::Install does that), for OpenSSL's writes raise it.
absl::Status AskByHandshake(const HandshakeQuestion& question);

}  // namespace distillery
