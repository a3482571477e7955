#include "common/data/dataset.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/checksum.h"
#include "common/base/names.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Fixed for ever: they are part of what a split's name means.
constexpr int64_t kOrderSeed = 1;
constexpr int64_t kValidationParts = 5;
constexpr int64_t kMaxShardSize = 65536;

std::vector<int64_t> SplitMembers(const StoredSamples& samples, const std::string& split) {
  if (split == "train") return samples.train;
  if (split == "test") return samples.test;
  const auto size = static_cast<int64_t>(samples.train.size());
  const std::vector<int64_t> shuffled =
      Permutation(size, RandomStream(kOrderSeed, "validation-split"));
  const int64_t validation = size / kValidationParts;
  std::vector<int64_t> members;
  const bool want_validation = split == "validation";
  for (int64_t i = 0; i < size; ++i) {
    if ((i < validation) == want_validation) members.push_back(samples.train[shuffled[i]]);
  }
  return members;
}

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

Dataset::Dataset(std::shared_ptr<const StoredSamples> samples, bool samples_in_order,
                 int64_t stored_size, DatasetReference reference, std::vector<int64_t> order)
    : samples_(std::move(samples)),
      samples_in_order_(samples_in_order),
      stored_size_(stored_size),
      reference_(std::move(reference)),
      order_(std::move(order)),
      digest_(ComputeDigest()) {}

absl::StatusOr<std::shared_ptr<const Dataset>> Dataset::Create(
    std::shared_ptr<const StoredSamples> samples, const DatasetReference& reference) {
  DISTILLERY_RETURN_IF_ERROR(reference.Validate());
  const std::vector<int64_t> members = SplitMembers(*samples, reference.split);
  if (members.empty()) return NoSamples(reference);
  std::vector<int64_t> order;
  order.reserve(members.size());
  for (const int64_t i : Permutation(static_cast<int64_t>(members.size()),
                                     RandomStream(kOrderSeed, "sample-order"))) {
    order.push_back(members[i]);
  }
  const int64_t stored_size = samples->size();
  return std::shared_ptr<const Dataset>(new Dataset(
      std::move(samples), /*samples_in_order=*/false, stored_size, reference, std::move(order)));
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
  for (const int64_t index : stored_indexes) {
    if (index < 0 || index >= stored_size) {
      return absl::DataLossError(absl::StrCat(reference.ToString(), ": stored index ", index,
                                              " is none of ", stored_size, " samples"));
    }
  }
  return std::shared_ptr<const Dataset>(new Dataset(std::move(samples), /*samples_in_order=*/true,
                                                    stored_size, reference,
                                                    std::move(stored_indexes)));
}

int64_t Dataset::shard_count() const {
  return (size() + reference_.shard_size - 1) / reference_.shard_size;
}

absl::StatusOr<RowRange> Dataset::Shard(int64_t shard) const {
  if (shard < 0 || shard >= shard_count()) {
    return absl::NotFoundError(absl::StrCat("shard ", shard, " of ", reference_.ToString(),
                                            " does not exist; shards are 0 to ",
                                            shard_count() - 1));
  }
  const int64_t first = shard * reference_.shard_size;
  return RowRange{first, std::min(reference_.shard_size, size() - first)};
}

std::string Dataset::ComputeDigest() const {
  Sha256 total;
  total.Update(absl::StrCat("distillery dataset 1\n", absl::StrJoin(shape().ToVector(), "x"), " /",
                            pixel_max(), "\n", absl::StrJoin(class_names(), "\n"), "\n",
                            reference_.shard_size, "\n"));
  const auto image_bytes = static_cast<size_t>(shape().size());
  for (int64_t shard = 0; shard < shard_count(); ++shard) {
    const RowRange rows = *Shard(shard);
    Sha256 part;
    for (int64_t row = rows.first; row < rows.first + rows.count; ++row) {
      part.Update({reinterpret_cast<const char*>(Pixels(row)), image_bytes});
      part.Update(absl::StrCat(" ", Label(row), " ", StoredIndex(row), "\n"));
    }
    total.Update(part.HexDigest());
  }
  return total.HexDigest();
}

}  // namespace distillery
