#include "common/rpc/metric_list.h"

#include <algorithm>
#include <limits>

namespace distillery {

void MetricList::Counter(const std::string& name, const std::string& help, double value,
                         const Labels& labels) {
  Add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricList::Gauge(const std::string& name, const std::string& help, double value,
                       const Labels& labels) {
  Add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricList::AddBuildInfo() {
  Gauge("build_info", "Always 1; the label says which version runs.", 1,
        {{"version", DISTILLERY_VERSION}});
}

void MetricList::AddHistogram(const std::string& name, const std::string& help, Histogram histogram,
                              const Labels& labels) {
  histogram.bucket.push_back({histogram.sample_count, std::numeric_limits<double>::infinity()});
  Add(name, help, prometheus::MetricType::Histogram, labels).histogram = std::move(histogram);
}

prometheus::ClientMetric& MetricList::Add(const std::string& name, const std::string& help,
                                          prometheus::MetricType type, const Labels& labels) {
  const std::string full = prefix_ + name;
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const auto& candidate) { return candidate.name == full; });
  if (family == families_.end()) family = families_.insert(family, {full, help, type, {}});
  prometheus::ClientMetric& metric = family->metric.emplace_back();
  for (const auto& [label, value] : labels) metric.label.push_back({label, value});
  return metric;
}

}  // namespace distillery
