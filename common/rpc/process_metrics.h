// What Prometheus shows of any process, under the names that its client libraries agree on
// (prometheus.io/docs/instrumenting/writing_clientlibs, "Standard and runtime metrics").
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace distillery {

// The metrics of this process, from /proc/self; what cannot be read is left out.
std::vector<prometheus::MetricFamily> CollectProcessMetrics();

}  // namespace distillery
