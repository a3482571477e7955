#include "common/rpc/transport_flags.h"

namespace distillery {

void AddTransportFlags(CommandLine* line, TransportOptions* options) {
  const std::string group = "Transport";
  line->Add("--tls-certificate", options->tls_certificate,
            "PEM certificate of this program (mutual TLS); `distillery certificates create` "
            "makes one, and new files are taken up without a restart")
      .FromEnvironment("DISTILLERY_TLS_CERTIFICATE")
      .Group(group);
  line->Add("--tls-key", options->tls_key, "PEM private key of the certificate")
      .FromEnvironment("DISTILLERY_TLS_KEY")
      .Group(group);
  line->Add("--tls-ca", options->tls_ca, "PEM authority that the peer must be signed by")
      .FromEnvironment("DISTILLERY_TLS_CA")
      .Group(group);
  line->Add("--insecure", options->insecure, "speak plain text on addresses other than loopback")
      .Group(group);
}

void AddConnectionFlags(CommandLine* line, int64_t* max_connections,
                        int64_t* max_connections_per_address) {
  line->Add("--max-connections", *max_connections,
            "connections that may be open; more wait for a second, then are closed")
      .Between(1, 1000000)
      .ShowDefault()
      .Group("Transport");
  line->Add("--max-connections-per-address", *max_connections_per_address,
            "of these from one address, such as that of a proxy; more are closed at once "
            "(default: half of --max-connections)")
      .Between(1, 1000000)
      .Group("Transport");
}

void AddAccessFlags(CommandLine* line, std::string* allowed_workers) {
  line->Add("--allowed-workers", *allowed_workers,
            "file of the workers that may join, one certificate's name a line, # comments; read "
            "anew when it changes (default: every worker with a certificate)")
      .Group("Transport");
}

}  // namespace distillery
