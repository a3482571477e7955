#include "common/rpc/initialise.h"

#include <openssl/crypto.h>

#include <cstdio>
#include <cstdlib>

namespace distillery {
namespace {

bool initialised = false;

}  // namespace

void InitialiseRpc() {
  if (initialised) return;
  initialised = true;

  // gRPC's own log lines repeat what our statuses say.
  setenv("GRPC_VERBOSITY", "NONE", /*replace=*/0);

  // A channel without a call under way, as is one whose calls fail at once since the server is
  // away, is polled so often. By default it is each 5 s, and attempts to connect are given up
  // sooner than that: a worker found a coordinator that was away for 35 ms after 10 s and more.
  // gRPC has no channel argument for it, and reads the variable when its first channel is made.
  setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "50", /*replace=*/0);

  // OpenSSL frees what it holds when main() has returned, while gRPC's threads still run: one that
  // ends then frees its error queue twice, or nobody does (github.com/grpc/grpc/issues/38539). The
  // system takes everything back anyway. It must come before any other use of OpenSSL.
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
}

void RequireRpc() {
  if (initialised) return;
  std::fputs("main() must call InitialiseRpc() (common/rpc/initialise.h)\n", stderr);
  std::abort();
}

}  // namespace distillery
