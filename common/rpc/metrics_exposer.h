// Shows a program's numbers, and those of its process (process_metrics.h), to Prometheus:
// http://HOST:PORT/metrics, in plain HTTP.
//
// Not prometheus-cpp's own exposer: its threads have stacks of 100 KiB, which cannot be made where
// LibTorch's thread-local data is larger.
//
// Anybody may connect, and may send half a request and wait: each address has a few connections,
// all together some more, and whoever comes when these are taken gets the place of the oldest. So
// those who wait cost one another their places, and Prometheus, which asks and leaves, is answered.
//
// Threads: one of its own per listening socket asks the collectable, so that must be safe for all.
// Numbers are read when Prometheus asks; nothing is done between.
#pragma once

#include <prometheus/collectable.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/command_line.h"

struct MHD_Daemon;

namespace distillery {

class MetricsPlaces;

class MetricsExposer {
 public:
  struct Options {
    // "HOST:PORT"; port 0 takes a free one. Empty: nothing is shown.
    std::string address;
    // If set, the address with the port taken is written here.
    std::string address_file;
    // Any address may be served: calls keep their mutual TLS, numbers are for the whole network.
    bool insecure = false;
  };

  // nullptr without an address. Errors as ListenOn; INVALID_ARGUMENT also for an address beyond
  // loopback unless `insecure` or that of the options.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Start(
      const Options& options, bool insecure, std::shared_ptr<prometheus::Collectable> collectable);
  ~MetricsExposer();
  MetricsExposer(const MetricsExposer&) = delete;
  MetricsExposer& operator=(const MetricsExposer&) = delete;

  // With the port taken.
  const std::string& address() const { return address_; }

 private:
  explicit MetricsExposer(std::shared_ptr<prometheus::Collectable> collectable);

  const std::shared_ptr<prometheus::Collectable> collectable_;
  std::string address_;
  // The path of a unix socket, to be removed.
  std::string unix_path_;
  const std::unique_ptr<MetricsPlaces> places_;
  std::vector<MHD_Daemon*> daemons_;
};

// --metrics-listen, --metrics-address-file and --metrics-insecure.
void AddMetricsFlags(CommandLine* line, MetricsExposer::Options* options);

}  // namespace distillery
