// One split of a data set in its fixed sample order, cut into shards.
//
// Threads: immutable, safe for all. Samples are addressed by row: the position in the sample order,
// a seeded permutation of the split, so that data stored class by class gives no one-class shards.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Names a split and how it is cut; see DatasetSelector in tensor.proto.
struct DatasetReference {
  std::string name;
  std::string split;
  int64_t shard_size = 0;

  // "digits/train@128"
  std::string ToString() const;
  // INVALID_ARGUMENT for an unsafe name, an unknown split or a shard size outside 1..65536.
  absl::Status Validate() const;
};

// "train", "test", "fit" (train without validation), "validation" (a fifth of train).
const std::vector<std::string>& KnownSplits();

// Rows [first, first + count) of a split.
struct RowRange {
  int64_t first = 0;
  int64_t count = 0;
};

class Dataset {
 public:
  // INVALID_ARGUMENT as DatasetReference::Validate, or for a split without samples.
  static absl::StatusOr<std::shared_ptr<const Dataset>> Create(
      std::shared_ptr<const StoredSamples> samples, const DatasetReference& reference);

  // A split that came without the rest of its data set: sample r of `samples` is row r, and lies at
  // `stored_indexes[r]` of `stored_size` samples; the splits in `samples` are not looked at. Equal in
  // all, digest too, to the Dataset of the whole. INVALID_ARGUMENT as Create, DATA_LOSS for samples
  // and indexes that do not fit together.
  static absl::StatusOr<std::shared_ptr<const Dataset>> FromRows(
      std::shared_ptr<const StoredSamples> samples, std::vector<int64_t> stored_indexes,
      int64_t stored_size, const DatasetReference& reference);

  const DatasetReference& reference() const { return reference_; }
  // SHA-256 over the shards' SHA-256s (stored bytes and labels in order), the decode options, the
  // shard size and the sample order.
  const std::string& digest() const { return digest_; }
  const ImageShape& shape() const { return samples_->shape; }
  int pixel_max() const { return samples_->pixel_max; }
  const std::vector<std::string>& class_names() const { return samples_->class_names; }
  int64_t class_count() const { return static_cast<int64_t>(class_names().size()); }

  int64_t size() const { return static_cast<int64_t>(order_.size()); }
  // Samples of all splits; stored indexes are below it.
  int64_t stored_size() const { return stored_size_; }
  int64_t shard_count() const;
  // NOT_FOUND if there is no such shard.
  absl::StatusOr<RowRange> Shard(int64_t shard) const;

  // REQUIRES: 0 <= row < size(). The stored index keys the sample's augmentation.
  int64_t StoredIndex(int64_t row) const { return order_[row]; }
  const uint8_t* Pixels(int64_t row) const { return samples_->Pixels(Place(row)); }
  int32_t Label(int64_t row) const { return samples_->labels[Place(row)]; }

 private:
  Dataset(std::shared_ptr<const StoredSamples> samples, bool samples_in_order, int64_t stored_size,
          DatasetReference reference, std::vector<int64_t> order);
  std::string ComputeDigest() const;
  // Of the row in samples_.
  int64_t Place(int64_t row) const { return samples_in_order_ ? row : order_[row]; }

  const std::shared_ptr<const StoredSamples> samples_;
  // samples_ holds the rows of this split alone, one after the other.
  const bool samples_in_order_;
  const int64_t stored_size_;
  const DatasetReference reference_;
  // Stored index of each row.
  const std::vector<int64_t> order_;
  std::string digest_;
};

}  // namespace distillery
