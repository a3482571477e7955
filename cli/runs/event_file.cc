#include "cli/runs/event_file.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "distillery/tensorboard/v1/event_file.pb.h"

namespace distillery {
namespace {

namespace tb = tensorboard::v1;

// TFRecord keeps checksums of data that itself holds checksums apart from these by a rotation and
// an addition (TensorFlow, lib/hash/crc32c.h).
uint32_t MaskedCrc(absl::string_view bytes) {
  constexpr uint32_t kDelta = 0xa282ead8U;
  constexpr int kRotation = 15;
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> kRotation) | (crc << (32 - kRotation))) + kDelta;
}

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

}  // namespace

Histogram HistogramOf(const std::vector<float>& values) {
  constexpr size_t kBuckets = 64;
  Histogram histogram;
  histogram.min = std::numeric_limits<double>::infinity();
  histogram.max = -histogram.min;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double wide = value;
    histogram.min = std::min(histogram.min, wide);
    histogram.max = std::max(histogram.max, wide);
    histogram.count += 1;
    histogram.sum += wide;
    histogram.sum_of_squares += wide * wide;
  }
  if (histogram.count == 0) return Histogram();
  const double width = (histogram.max - histogram.min) / static_cast<double>(kBuckets);
  const size_t buckets = width > 0 ? kBuckets : 1;
  histogram.counts.resize(buckets);
  for (size_t i = 1; i <= buckets; ++i) {
    histogram.limits.push_back(i == buckets ? histogram.max
                                            : histogram.min + width * static_cast<double>(i));
  }
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    // By the limits themselves, as a reader counts.
    const auto bucket =
        std::lower_bound(histogram.limits.begin(), histogram.limits.end(), double{value});
    histogram.counts[static_cast<size_t>(bucket - histogram.limits.begin())] += 1;
  }
  return histogram;
}

EventFile::EventFile(double wall_time) {
  tb::Event event;
  event.set_wall_time(wall_time);
  event.set_file_version("brain.Event:2");
  Append(event.SerializeAsString());
}

void EventFile::AddScalar(const std::string& tag, int64_t step, double wall_time, double value) {
  tb::Event event;
  event.set_wall_time(wall_time);
  event.set_step(step);
  tb::Summary::Value* const entry = event.mutable_summary()->add_value();
  entry->set_tag(tag);
  entry->set_simple_value(static_cast<float>(value));
  Append(event.SerializeAsString());
}

void EventFile::AddHistogram(const std::string& tag, int64_t step, double wall_time,
                             const Histogram& histogram) {
  if (histogram.count == 0) return;
  tb::Event event;
  event.set_wall_time(wall_time);
  event.set_step(step);
  tb::Summary::Value* const entry = event.mutable_summary()->add_value();
  entry->set_tag(tag);
  tb::HistogramProto* const proto = entry->mutable_histo();
  proto->set_min(histogram.min);
  proto->set_max(histogram.max);
  proto->set_num(histogram.count);
  proto->set_sum(histogram.sum);
  proto->set_sum_squares(histogram.sum_of_squares);
  for (const double limit : histogram.limits) proto->add_bucket_limit(limit);
  for (const double count : histogram.counts) proto->add_bucket(count);
  Append(event.SerializeAsString());
}

absl::Status EventFile::Write(const std::string& path) const {
  return WriteFileDurably(path, bytes_);
}

void EventFile::Append(absl::string_view record) {
  const std::string length = LittleEndian(static_cast<uint64_t>(record.size()));
  bytes_ += length + LittleEndian(MaskedCrc(length));
  bytes_.append(record.data(), record.size());
  bytes_ += LittleEndian(MaskedCrc(record));
}

}  // namespace distillery
