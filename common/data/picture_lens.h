// One picture input of a data set's records in the size that a model takes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/image_resize.h"
#include "common/data/sample_spec.h"

namespace distillery {

// Augmentations are applied in the stored size (seen_records.h), and what they give is shrunk here,
// so that models of unlike sizes see the same.
//
//   DISTILLERY_ASSIGN_OR_RETURN(PictureLens lens, PictureLens::Create(stored, taken));
//   const uint8_t* pixels = lens.See(seen.See(row, record));
//
// Threads: one.
class PictureLens {
 public:
  // INVALID_ARGUMENT if the picture taken has other channels than the stored one, or is larger.
  // REQUIRES: stored.is_picture().
  static absl::StatusOr<PictureLens> Create(const InputSpec& stored, const InputSpec& taken);

  // Bytes of what See gives.
  int64_t size() const { return size_; }
  // `pixels` themselves, of the stored size, if sizes are equal; else bytes that are there until
  // the next call.
  const uint8_t* See(const uint8_t* pixels);

 private:
  explicit PictureLens(int64_t size) : size_(size) {}

  int64_t size_;
  // None where sizes are equal.
  std::optional<Resizer> resizer_;
  std::vector<uint8_t> shrunk_;
};

}  // namespace distillery
