#include "common/data/seen_records.h"

#include <cstring>

namespace distillery {

SeenRecords::SeenRecords(const Dataset& dataset, const View& view)
    : dataset_(dataset), view_(view) {
  if (!view.augmentation.identity()) seen_.resize(static_cast<size_t>(dataset.record_bytes()));
}

const uint8_t* SeenRecords::See(int64_t row, const uint8_t* record) {
  if (view_.augmentation.identity()) return record;
  const int64_t stored_index = dataset_.StoredIndex(row);
  int64_t place = 0;
  for (const InputSpec& input : dataset_.spec().inputs) {
    view_.augmentation.ApplyTo(input, record + place, view_.seed, stored_index, view_.view,
                               seen_.data() + place);
    place += input.bytes();
  }
  const int64_t rest = dataset_.record_bytes() - place;
  if (rest > 0) std::memcpy(seen_.data() + place, record + place, static_cast<size_t>(rest));
  return seen_.data();
}

}  // namespace distillery
