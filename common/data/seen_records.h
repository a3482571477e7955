// Records of samples as a view shows them. What trains, answers, streams and checks samples gets
// them here, so that teacher and student see the same bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "common/data/augmentation.h"
#include "common/data/dataset.h"

namespace distillery {

// Not thread-safe: it holds one record. The data set and the view must stay.
class SeenRecords {
 public:
  SeenRecords(const Dataset& dataset, const View& view);

  // The record of `row`, stored as `record`, seen through the view; the label stays. It is there
  // until the next call, or as long as `record`.
  const uint8_t* See(int64_t row, const uint8_t* record);

 private:
  const Dataset& dataset_;
  const View& view_;
  std::vector<uint8_t> seen_;
};

}  // namespace distillery
