// What a process that uses gRPC needs before it does.
#pragma once

namespace distillery {

// Sets what gRPC and OpenSSL read once. Each main() calls it first, before threads, and before
// gRPC or OpenSSL are used at all; further calls do nothing. A user's own environment stays.
void InitialiseRpc();

// Ends the process if InitialiseRpc was not called: channels and servers ask.
void RequireRpc();

}  // namespace distillery
