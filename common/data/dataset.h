// One split of a data set in its fixed sample order, cut into shards.
//
// Threads: safe for all. Samples are addressed by row: the position in the sample order, a seeded
// permutation of the split, so that data stored class by class gives no one-class shards.
//
// Records are read from the files when they are asked for, and not kept. Each shard is compared
// with its SHA-256 when it is first read, unless that was computed by this process, and each record
// with its CRC-32C whenever it is read: what a disk damages later is an error, not another result.
// That takes 4 bytes of memory for each row. Records that are held in memory are those that were
// read and hashed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/data/samples.h"
#include "common/data/shard_digests.h"
#include "common/data/shard_verifier.h"
#include "common/data/split_rows.h"

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

class Dataset {
 public:
  // Reads all samples, if no side file says what their digest is: may block for long.
  // INVALID_ARGUMENT as DatasetReference::Validate, or for a split without samples; errors as
  // ReadRecord.
  static absl::StatusOr<std::shared_ptr<const Dataset>> Create(
      std::shared_ptr<const StoredSamples> samples, const DatasetReference& reference);

  // A split that came without the rest of its data set: sample r of `samples` is row r, and lies at
  // `stored_indexes[r]` of `stored_size` samples; the splits in `samples` are not looked at. Equal
  // in all, digest too, to the Dataset of the whole. Errors as Create; DATA_LOSS for samples and
  // indexes that do not fit together.
  static absl::StatusOr<std::shared_ptr<const Dataset>> FromRows(
      std::shared_ptr<const StoredSamples> samples, std::vector<int64_t> stored_indexes,
      int64_t stored_size, const DatasetReference& reference);

  const DatasetReference& reference() const { return reference_; }
  // SHA-256 over the shards' SHA-256s (stored bytes and labels in order), the decode options, the
  // shard size and the sample order.
  const std::string& digest() const { return digest_; }
  const SampleSpec& spec() const { return samples().spec; }
  int64_t record_bytes() const { return samples().record_bytes(); }
  // Of pictures. REQUIRES: spec().is_picture().
  ImageShape shape() const { return samples().shape(); }
  int pixel_max() const { return samples().pixel_max(); }
  const std::vector<std::string>& class_names() const { return samples().class_names; }
  // What lies in the folder and is in no sample.
  const std::vector<LeftOut>& left_out() const { return samples().left_out; }
  int64_t class_count() const { return static_cast<int64_t>(class_names().size()); }

  // Over the pixels of this split, for each channel; empty if samples are no pictures.
  const std::vector<ChannelSums>& channel_sums() const { return channel_sums_; }

  int64_t size() const { return rows_.size(); }
  // Samples of all splits; stored indexes are below it.
  int64_t stored_size() const { return stored_size_; }
  int64_t shard_count() const { return rows_.shard_count(); }
  // NOT_FOUND if there is no such shard.
  absl::StatusOr<RowRange> Shard(int64_t shard) const;

  // REQUIRES, as those below: 0 <= row < size(). The stored index keys the sample's augmentation.
  int64_t StoredIndex(int64_t row) const { return rows_.order[row]; }
  int32_t Label(int64_t row) const { return rows_.Label(row); }
  // Reads a row's record, as stored, to output [record_bytes()]. DATA_LOSS names data set, shard
  // and file: the file is cut short, or the shard's bytes are not those of the digest; other shards
  // can still be read. UNAVAILABLE for another reason of the system. Blocks on the disk.
  absl::Status ReadRecord(int64_t row, uint8_t* output) const;
  // The same for many, to output [rows.size(), record_bytes()]; in the order of the file, which is
  // faster than one by one.
  absl::Status ReadRecords(const std::vector<int64_t>& rows, uint8_t* output) const;

 private:
  Dataset(SplitRows rows, int64_t stored_size, DatasetReference reference);
  // Takes or computes digest and sums. Called once, before anyone else sees it.
  absl::Status Prepare();
  const StoredSamples& samples() const { return *rows_.samples; }
  absl::Status Verify(int64_t shard) const;
  // DATA_LOSS unless the record that was read is the row's.
  absl::Status CheckRead(int64_t row, const uint8_t* record) const;

  const SplitRows rows_;
  const int64_t stored_size_;
  const DatasetReference reference_;
  std::string digest_;
  std::vector<ChannelSums> channel_sums_;
  // Null: the records are held in memory.
  std::unique_ptr<ShardVerifier> verifier_;
};

}  // namespace distillery
