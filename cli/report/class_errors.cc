#include "cli/report/class_errors.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "cli/terminal/text_table.h"

namespace distillery {
namespace {

// "7 (3 times)", or "" if the class was never mistaken or there is no confusion matrix.
std::string MostChosenInstead(const EvaluationMetrics& metrics,
                              const std::vector<std::string>& class_names, size_t label) {
  const size_t classes = metrics.samples_per_class.size();
  if (metrics.confusion_matrix.empty()) return "";
  size_t most = label;
  int64_t count = 0;
  for (size_t choice = 0; choice < classes; ++choice) {
    const int64_t times = metrics.confusion_matrix[label * classes + choice];
    if (choice == label || times <= count) continue;
    most = choice;
    count = times;
  }
  if (count == 0) return "";
  return absl::StrCat(class_names[most], " (", count, count == 1 ? " time)" : " times)");
}

}  // namespace

std::string FormatClassErrors(const EvaluationMetrics& metrics,
                              const std::vector<std::string>& class_names) {
  std::vector<size_t> order;
  for (size_t label = 0; label < metrics.samples_per_class.size(); ++label) {
    if (metrics.samples_per_class[label] > 0) order.push_back(label);
  }
  const auto errors = [&](size_t label) {
    return metrics.samples_per_class[label] - metrics.correct_per_class[label];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return errors(a) > errors(b); });
  std::vector<std::vector<std::string>> rows = {
      {"class", "samples", "errors", "most often taken for"}};
  for (const size_t label : order) {
    rows.push_back({class_names[label], absl::StrCat(metrics.samples_per_class[label]),
                    absl::StrCat(errors(label)), MostChosenInstead(metrics, class_names, label)});
  }
  return FormatTable(rows);
}

}  // namespace distillery
