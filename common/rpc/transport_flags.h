// Flags of programs that serve, or call, over the network.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/command_line.h"
#include "common/rpc/transport.h"

namespace distillery {

// --tls-certificate, --tls-key, --tls-ca, --insecure. The first three may come from the environment
// as well: a service and the health check beside it then need not be told twice.
void AddTransportFlags(CommandLine* line, TransportOptions* options);
// --max-connections and --max-connections-per-address, of a server.
void AddConnectionFlags(CommandLine* line, int64_t* max_connections,
                        int64_t* max_connections_per_address);
// --allowed-workers, of a server.
void AddAccessFlags(CommandLine* line, std::string* allowed_workers);

}  // namespace distillery
