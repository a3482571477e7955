// An event file of TensorBoard: TFRecords, each with masked CRC-32Cs, of the messages in
// proto/distillery/tensorboard/v1/event_file.proto.
//
//   EventFile events(wall_time);
//   events.AddScalar("loss/total", step, wall_time, 0.25);
//   DISTILLERY_RETURN_IF_ERROR(events.Write(folder + "/events.out.tfevents.1700000000.run"));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distillery {

// Adds values up into buckets of equal width between the smallest and the largest of them. What is
// not finite is left out.
struct Histogram {
  double min = 0;
  double max = 0;
  double count = 0;
  double sum = 0;
  double sum_of_squares = 0;
  // Upper limits, the last one is `max`, and the number of values in each.
  std::vector<double> limits;
  std::vector<double> counts;
};
Histogram HistogramOf(const std::vector<float>& values);

class EventFile {
 public:
  // `wall_time`: seconds since 1970 UTC; of the first record, which says what the file is.
  explicit EventFile(double wall_time);
  void AddScalar(const std::string& tag, int64_t step, double wall_time, double value);
  // Nothing for a histogram without values.
  void AddHistogram(const std::string& tag, int64_t step, double wall_time,
                    const Histogram& histogram);
  // Replaces the file in one step.
  absl::Status Write(const std::string& path) const;

 private:
  void Append(absl::string_view record);
  std::string bytes_;
};

}  // namespace distillery
