#include "cli/experiment/mean.h"

#include "absl/strings/str_cat.h"
#include "cli/report/paired_difference.h"

namespace distillery {

ResultCell MeanCell(const std::vector<double>& values) {
  const PairedDifference mean = MeanDifference(values);
  if (values.size() < 2) return {mean.mean};
  return {mean.mean, mean.half_width};
}

std::string MeansOf(int64_t seeds) {
  return seeds == 1 ? "One seed" : absl::StrCat("Means of ", seeds, " seeds");
}

void AppendMean(const std::vector<double>& values, ResultSeries* series) {
  const PairedDifference mean = MeanDifference(values);
  series->y.push_back(mean.mean);
  if (values.size() < 2) return;
  series->low.push_back(mean.mean - mean.half_width);
  series->high.push_back(mean.mean + mean.half_width);
}

std::vector<double> Differences(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return differences;
}

}  // namespace distillery
