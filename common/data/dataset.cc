#include "common/data/dataset.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/data/digest_file.h"

namespace distillery {
namespace {

constexpr int64_t kMaxShardSize = 65536;

absl::Status NoSamples(const DatasetReference& reference) {
  return absl::InvalidArgumentError(
      absl::StrCat("split ", reference.name, "/", reference.split, " has no samples"));
}

}  // namespace

const std::vector<std::string>& KnownSplits() {
  static const auto* const splits =
      new std::vector<std::string>{"train", "test", "fit", "validation"};
  return *splits;
}

std::string DatasetReference::ToString() const {
  return absl::StrCat(name, "/", split, "@", shard_size);
}

absl::Status DatasetReference::Validate() const {
  DISTILLERY_RETURN_IF_ERROR(CheckName("dataset.name", name, 64));
  const std::vector<std::string>& splits = KnownSplits();
  if (std::find(splits.begin(), splits.end(), split) == splits.end()) {
    return absl::NotFoundError(UnknownName("split", split, splits));
  }
  if (shard_size < 1 || shard_size > kMaxShardSize) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard_size must be 1 to ", kMaxShardSize, ", got ", shard_size));
  }
  return absl::OkStatus();
}

Dataset::Dataset(SplitRows rows, int64_t stored_size, DatasetReference reference)
    : rows_(std::move(rows)), stored_size_(stored_size), reference_(std::move(reference)) {}

absl::StatusOr<std::shared_ptr<const Dataset>> Dataset::Create(
    std::shared_ptr<const StoredSamples> samples, const DatasetReference& reference) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  SplitRows rows;
  rows.samples = std::move(samples);
  rows.order = SampleOrder(*rows.samples, reference.split);
  rows.shard_size = reference.shard_size;
  if (rows.order.empty()) return NoSamples(reference);
  const int64_t stored_size = rows.samples->size();
  std::shared_ptr<Dataset> dataset(new Dataset(std::move(rows), stored_size, reference));
  DISTILLERY_RETURN_IF_ERROR(dataset->Prepare());
  return dataset;
}

absl::StatusOr<std::shared_ptr<const Dataset>> Dataset::FromRows(
    std::shared_ptr<const StoredSamples> samples, std::vector<int64_t> stored_indexes,
    int64_t stored_size, const DatasetReference& reference) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  if (samples->labels.empty()) return NoSamples(reference);
  DISTILLERY_RETURN_IF_ERROR(CheckContent(*samples));
  if (static_cast<int64_t>(stored_indexes.size()) != samples->size()) {
    return absl::DataLossError(absl::StrCat(reference.ToString(), ": ", samples->size(),
                                            " samples have ", stored_indexes.size(),
                                            " stored indexes"));
  }
  if (stored_size > kMaxSamples) {
    return absl::DataLossError(absl::StrCat(reference.ToString(), ": ", stored_size,
                                            " samples are said to be stored, the most are ",
                                            kMaxSamples));
  }
  for (const int64_t index : stored_indexes) {
    if (index < 0 || index >= stored_size) {
      return absl::DataLossError(absl::StrCat(reference.ToString(), ": stored index ", index,
                                              " is none of ", stored_size, " samples"));
    }
  }
  SplitRows rows;
  rows.samples = std::move(samples);
  rows.samples_in_order = true;
  rows.order.assign(stored_indexes.begin(), stored_indexes.end());
  rows.shard_size = reference.shard_size;
  std::shared_ptr<Dataset> dataset(new Dataset(std::move(rows), stored_size, reference));
  DISTILLERY_RETURN_IF_ERROR(dataset->Prepare());
  return dataset;
}

absl::Status Dataset::Prepare() {
  // What is held in memory was read whole anyway, and what came from a teacher is read once.
  const bool keep = !samples().sources.files.empty() && shard_count() <= kMaxKeptShards;
  std::optional<DigestFile> file;
  if (keep) file.emplace(rows_, reference_.split);
  std::optional<ShardDigests> digests;
  if (keep) digests = file->Load();
  const bool known = digests.has_value();
  if (!known) {
    absl::StatusOr<ShardDigests> computed = ComputeShardDigests(rows_, reference_.ToString());
    if (!computed.ok()) return Annotate(computed.status(), reference_.ToString());
    digests = *std::move(computed);
    if (keep) file->Store(*digests);
  }
  digest_ = DatasetDigest(rows_, digests->shards);
  channel_sums_ = std::move(digests->sums);
  if (!samples().in_memory()) {
    verifier_ = std::make_unique<ShardVerifier>(rows_, *std::move(digests));
  }
  return absl::OkStatus();
}

absl::StatusOr<RowRange> Dataset::Shard(int64_t shard) const {
  if (shard < 0 || shard >= shard_count()) {
    return absl::NotFoundError(absl::StrCat("shard ", shard, " of ", reference_.ToString(),
                                            " does not exist; shards are 0 to ",
                                            shard_count() - 1));
  }
  return rows_.Shard(shard);
}

absl::Status Dataset::Verify(int64_t shard) const {
  if (verifier_ == nullptr) return absl::OkStatus();
  return Annotate(verifier_->Verify(rows_, shard), reference_.ToString());
}

absl::Status Dataset::CheckRead(int64_t row, const uint8_t* record) const {
  if (verifier_ == nullptr || verifier_->IsSound(rows_, row, record)) return absl::OkStatus();
  return Annotate(ShardVerifier::Damaged(rows_, row / reference_.shard_size),
                  reference_.ToString());
}

absl::Status Dataset::ReadRecord(int64_t row, uint8_t* output) const {
  const int64_t shard = row / reference_.shard_size;
  DISTILLERY_RETURN_IF_ERROR(Verify(shard));
  const absl::Status read = ::distillery::ReadRecord(samples(), rows_.Place(row), output);
  if (read.ok()) return CheckRead(row, output);  // names are made for errors alone
  return Annotate(read, absl::StrCat(reference_.ToString(), ": shard ", shard));
}

absl::Status Dataset::ReadRecords(const std::vector<int64_t>& rows, uint8_t* output) const {
  std::vector<RecordWish> wishes;
  wishes.reserve(rows.size());
  int64_t verified = -1;
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t shard = rows[i] / reference_.shard_size;
    if (shard != verified) DISTILLERY_RETURN_IF_ERROR(Verify(shard));
    verified = shard;
    wishes.push_back({rows_.Place(rows[i]), static_cast<uint32_t>(i)});
  }
  if (::distillery::ReadRecords(samples(), &wishes, output).ok()) {
    for (size_t i = 0; i < rows.size(); ++i) {
      DISTILLERY_RETURN_IF_ERROR(
          CheckRead(rows[i], output + static_cast<int64_t>(i) * record_bytes()));
    }
    return absl::OkStatus();
  }
  // One by one, to tell whose shard it is.
  for (size_t i = 0; i < rows.size(); ++i) {
    DISTILLERY_RETURN_IF_ERROR(
        ReadRecord(rows[i], output + static_cast<int64_t>(i) * record_bytes()));
  }
  return absl::OkStatus();
}

}  // namespace distillery
