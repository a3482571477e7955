// Command lines: CLI11 with our manners. Unknown flags are refused with the nearest known one; help
// and version end with 0, wrong usage with 2.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/base/logging.h"
#include "common/rpc/transport.h"

namespace distillery {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitWrongUsage = 2;

// --tls-certificate, --tls-key, --tls-ca, --insecure. The first three may come from the environment
// as well: a service and the health check beside it then need not be told twice.
void AddTransportFlags(CLI::App* app, TransportOptions* options);
// --max-connections and --max-connections-per-address, of a server.
void AddConnectionFlags(CLI::App* app, int64_t* max_connections,
                        int64_t* max_connections_per_address);
// --allowed-workers, of a server.
void AddAccessFlags(CLI::App* app, std::string* allowed_workers);
// --log-level, --log-format and --version.
void AddCommonFlags(CLI::App* app, LogOptions* log);

// Parses; returns -1 to go on, or the exit code after help, version or a wrong command line, which
// has been printed.
int ParseFlags(CLI::App* app, int argc, char** argv);

// Prints "PROGRAM: message" to standard error (a line of the log where that is JSON) and returns
// the exit code for `status`: 0 if OK, 2 for INVALID_ARGUMENT, else 1.
int ReportStatus(const std::string& program, const absl::Status& status);

}  // namespace distillery
