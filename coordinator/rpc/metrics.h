// What the coordinator tells Prometheus: docs/metrics/coordinator.md lists it.
//
// Threads: safe for all. Reads the statistics that are kept anyway, when asked.
#pragma once

#include <prometheus/collectable.h>

#include <vector>

#include "common/rpc/request_statistics.h"
#include "common/rpc/server.h"
#include "coordinator/coordinator.h"

namespace distillery {

class CoordinatorMetrics final : public prometheus::Collectable {
 public:
  // All must outlive this.
  CoordinatorMetrics(Coordinator* coordinator, const RequestStatistics* requests,
                     const RpcServer* server)
      : coordinator_(coordinator), requests_(requests), server_(server) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Coordinator* const coordinator_;
  const RequestStatistics* const requests_;
  const RpcServer* const server_;
};

}  // namespace distillery
