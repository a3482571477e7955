// Numbers for Prometheus, gathered when it asks.
//
//   MetricList metrics("distillery_teacher_");
//   metrics.Counter("rows_total", "Rows computed.", rows, {{"model", name}});
//   return metrics.Take();
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace distillery {

class MetricList {
 public:
  using Labels = std::vector<std::pair<std::string, std::string>>;
  using Histogram = prometheus::ClientMetric::Histogram;

  // `prefix` begins all names.
  explicit MetricList(std::string prefix) : prefix_(std::move(prefix)) {}

  // Numbers of one name are one family and lie together, whatever the order of the calls; help says
  // the unit. A counter's name ends with "_total".
  void Counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void Gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  // build_info, which each program has.
  void AddBuildInfo();
  // Without the bucket of infinity, which is added.
  void AddHistogram(const std::string& name, const std::string& help, Histogram histogram,
                    const Labels& labels = {});
  std::vector<prometheus::MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Add(const std::string& name, const std::string& help,
                                prometheus::MetricType type, const Labels& labels);

  const std::string prefix_;
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace distillery
