// What a worker tells Prometheus: docs/metrics/worker.md lists it.
//
// Threads: safe for all. Reads the statistics that are kept anyway, when asked.
#pragma once

#include <prometheus/collectable.h>

#include <string>
#include <utility>
#include <vector>

#include "student_worker/worker_statistics.h"

namespace distillery {

class WorkerMetrics final : public prometheus::Collectable {
 public:
  // `statistics` must outlive this. `name`: the worker's, as the coordinator records it.
  WorkerMetrics(const WorkerStatistics* statistics, std::string name)
      : statistics_(statistics), name_(std::move(name)) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const WorkerStatistics* const statistics_;
  const std::string name_;
};

}  // namespace distillery
