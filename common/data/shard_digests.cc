#include "common/data/shard_digests.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/clock.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/task_pool.h"

namespace distillery {
namespace {

// Beyond so many threads, the disk and the memory are what is waited for.
constexpr int64_t kMaxThreads = 8;
constexpr int64_t kLeastWindowBytes = int64_t{4} << 20;
constexpr int64_t kMostWindowBytes = int64_t{32} << 20;
// Small images are read over the whole file once for each window: not more often, if they fit.
constexpr int64_t kPasses = 16;
constexpr absl::Duration kReportPeriod = absl::Seconds(2);

// Hashes the rows of a shard: record, " LABEL INDEX\n".
class ShardHash {
 public:
  void Add(const uint8_t* record, size_t bytes, int32_t label, uint32_t index) {
    // Small rows are hashed many at a time: a call costs as much as 100 bytes.
    if (pending_.size() + bytes > kPending) Flush();
    const absl::string_view content(reinterpret_cast<const char*>(record), bytes);
    if (bytes > kPending) {
      hash_.Update(content);
    } else {
      pending_.append(content.data(), content.size());
    }
    char text[32];
    char* end = text;
    *end++ = ' ';
    end = std::to_chars(end, std::end(text), label).ptr;
    *end++ = ' ';
    end = std::to_chars(end, std::end(text), index).ptr;
    *end++ = '\n';
    pending_.append(text, static_cast<size_t>(end - text));
  }
  ShardDigest Finish() {
    Flush();
    return hash_.Digest();
  }

 private:
  static constexpr size_t kPending = 16384;
  void Flush() {
    hash_.Update(pending_);
    pending_.clear();
  }

  Sha256 hash_;
  std::string pending_;
};

void AddPicture(const uint8_t* pixels, const ImageShape& shape, std::vector<ChannelSums>* sums) {
  const int64_t plane = shape.height * shape.width;
  // So many squares of bytes fit into 32 bits, which vectors add twice as fast as 64.
  constexpr int64_t kBlock = 65536;
  for (ChannelSums& channel : *sums) {
    for (int64_t first = 0; first < plane; first += kBlock) {
      const int64_t count = std::min(kBlock, plane - first);
      uint32_t values = 0;
      uint32_t squares = 0;
      for (int64_t i = 0; i < count; ++i) {
        const uint32_t pixel = pixels[i];
        values += pixel;
        squares += pixel * pixel;
      }
      channel.values += values;
      channel.squares += squares;
      pixels += count;
    }
  }
}

// Does work(0) to work(count - 1), each in its thread.
void InThreads(int64_t count, const std::function<void(int64_t)>& work) {
  TaskPool threads(static_cast<int>(count));
  for (int64_t i = 0; i < count; ++i) threads.Add([&work, i] { work(i); });
}

int64_t WindowBytes(const SplitRows& rows) {
  if (rows.samples_in_order) return kLeastWindowBytes;
  return std::clamp(rows.size() * rows.samples->record_bytes() / kPasses, kLeastWindowBytes,
                    kMostWindowBytes);
}

// Some rows of a split, their records at hand.
class Window {
 public:
  Window(const SplitRows& rows, int64_t bytes)
      : rows_(rows),
        samples_(*rows.samples),
        record_bytes_(samples_.record_bytes()),
        most_(std::max<int64_t>(1, bytes / record_bytes_)) {}

  // The most rows that it takes.
  int64_t most() const { return most_; }

  // Reads rows `range`, in `threads` threads, each from its part of the files.
  absl::Status Read(const RowRange& range, int64_t threads) {
    first_ = range.first;
    if (samples_.in_memory()) return absl::OkStatus();
    records_.resize(static_cast<size_t>(std::min(most_, rows_.size()) * record_bytes_));
    const int64_t places = samples_.size();
    std::vector<absl::Status> read(static_cast<size_t>(threads));
    const auto read_part = [&](int64_t part) {
      const int64_t from = places * part / threads;
      const int64_t to = places * (part + 1) / threads;
      std::vector<RecordWish> wishes;
      wishes.reserve(static_cast<size_t>(range.count / threads * 9 / 8 + 1));
      for (int64_t i = 0; i < range.count; ++i) {
        const uint32_t place = rows_.Place(range.first + i);
        if (place >= from && place < to) wishes.push_back({place, static_cast<uint32_t>(i)});
      }
      read[part] = ReadRecords(samples_, &wishes, records_.data());
    };
    if (threads == 1) {
      read_part(0);
    } else {
      InThreads(threads, read_part);
    }
    for (const absl::Status& status : read) DISTILLERY_RETURN_IF_ERROR(status);
    return absl::OkStatus();
  }
  // REQUIRES: `row` was read last.
  const uint8_t* Record(int64_t row) const {
    return samples_.in_memory() ? samples_.Record(rows_.Place(row))
                                : &records_[(row - first_) * record_bytes_];
  }
  // `row_crcs`: null, or one for each row of the range.
  void Hash(const RowRange& range, ShardHash* hash, std::vector<ChannelSums>* sums,
            uint32_t* row_crcs) const {
    for (int64_t row = range.first; row < range.first + range.count; ++row) {
      const uint8_t* const record = Record(row);
      hash->Add(record, static_cast<size_t>(record_bytes_), rows_.Label(row), rows_.order[row]);
      if (sums != nullptr && !sums->empty()) AddPicture(record, samples_.shape(), sums);
      if (row_crcs != nullptr) {
        *row_crcs++ =
            Crc32c({reinterpret_cast<const char*>(record), static_cast<size_t>(record_bytes_)});
      }
    }
  }

 private:
  const SplitRows& rows_;
  const StoredSamples& samples_;
  const int64_t record_bytes_;
  const int64_t most_;
  int64_t first_ = 0;
  // [most_, record_bytes_]
  std::vector<uint8_t> records_;
};

// Computes all digests, window by window.
class Pass {
 public:
  Pass(const SplitRows& rows, absl::string_view name, int64_t window_bytes)
      : rows_(rows),
        name_(name),
        window_(rows, window_bytes),
        threads_(std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, kMaxThreads)) {
    digests_.shards.resize(static_cast<size_t>(rows.shard_count()));
    digests_.sums.resize(SumCount(rows.samples->spec));
    if (!rows.samples->in_memory()) digests_.row_crcs.resize(static_cast<size_t>(rows.size()));
  }

  absl::StatusOr<ShardDigests> Run() {
    const int64_t whole_shards = window_.most() / rows_.shard_size;
    for (int64_t shard = 0; shard < rows_.shard_count();) {
      const int64_t count =
          std::min(std::max<int64_t>(1, whole_shards), rows_.shard_count() - shard);
      const absl::Status added = whole_shards > 0 ? AddShards(shard, count) : AddLargeShard(shard);
      if (!added.ok()) return WithShard(shard, count, added);
      shard += count;
      Report(rows_.Shard(shard - 1));
    }
    return std::move(digests_);
  }

 private:
  // Shards that fit into the window together: each thread hashes some of them.
  absl::Status AddShards(int64_t first, int64_t count) {
    const RowRange last = rows_.Shard(first + count - 1);
    const int64_t first_row = rows_.Shard(first).first;
    const RowRange range{first_row, last.first + last.count - first_row};
    const int64_t threads = std::min(threads_, range.count);
    DISTILLERY_RETURN_IF_ERROR(window_.Read(range, threads));
    std::vector<std::vector<ChannelSums>> sums(static_cast<size_t>(threads),
                                               std::vector<ChannelSums>(digests_.sums.size()));
    InThreads(threads, [&](int64_t part) {
      for (int64_t i = count * part / threads; i < count * (part + 1) / threads; ++i) {
        ShardHash hash;
        const RowRange shard = rows_.Shard(first + i);
        window_.Hash(shard, &hash, &sums[part], CrcsFrom(shard.first));
        digests_.shards[first + i] = hash.Finish();
      }
    });
    for (const std::vector<ChannelSums>& part : sums) {
      for (size_t channel = 0; channel < part.size(); ++channel) {
        digests_.sums[channel].values += part[channel].values;
        digests_.sums[channel].squares += part[channel].squares;
      }
    }
    return absl::OkStatus();
  }
  // A shard that takes several windows.
  absl::Status AddLargeShard(int64_t shard) {
    const RowRange range = rows_.Shard(shard);
    ShardHash hash;
    for (int64_t done = 0; done < range.count; done += window_.most()) {
      const RowRange part{range.first + done, std::min(window_.most(), range.count - done)};
      DISTILLERY_RETURN_IF_ERROR(window_.Read(part, std::min(threads_, part.count)));
      window_.Hash(part, &hash, &digests_.sums, CrcsFrom(part.first));
      Report(part);
    }
    digests_.shards[shard] = hash.Finish();
    return absl::OkStatus();
  }

  uint32_t* CrcsFrom(int64_t row) {
    return digests_.row_crcs.empty() ? nullptr : &digests_.row_crcs[static_cast<size_t>(row)];
  }

  // The error of the first shard that has one by itself.
  absl::Status WithShard(int64_t first, int64_t count, const absl::Status& status) const {
    for (int64_t shard = first; shard < first + count; ++shard) {
      const absl::StatusOr<ShardDigest> alone = ComputeShardDigest(rows_, shard);
      if (!alone.ok()) return alone.status();
    }
    return status;
  }

  void Report(const RowRange& done) {
    const absl::Duration now = Clock::Real()->SteadyNow();
    if (now - reported_ < kReportPeriod) return;
    reported_ = now;
    const int64_t row = done.first + done.count;
    LogInfo("data set {}: computing its digest, {} of {} samples read", name_, row, rows_.size());
  }

  const SplitRows& rows_;
  const std::string name_;
  Window window_;
  const int64_t threads_;
  ShardDigests digests_;
  absl::Duration reported_ = Clock::Real()->SteadyNow();
};

}  // namespace

size_t SumCount(const SampleSpec& spec) {
  return spec.is_picture() ? static_cast<size_t>(spec.picture_shape().channels) : 0;
}

absl::StatusOr<ShardDigests> ComputeShardDigests(const SplitRows& rows, absl::string_view name,
                                                 int64_t window_bytes) {
  absl::StatusOr<ShardDigests> digests =
      Pass(rows, name, window_bytes > 0 ? window_bytes : WindowBytes(rows)).Run();
  // The heap would keep what the window took, and a worker's memory is counted.
  malloc_trim(0);
  return digests;
}

absl::StatusOr<ShardDigest> ComputeShardDigest(const SplitRows& rows, int64_t shard,
                                               uint32_t* row_crcs) {
  Window window(rows, kLeastWindowBytes);
  const RowRange range = rows.Shard(shard);
  ShardHash hash;
  for (int64_t done = 0; done < range.count; done += window.most()) {
    const RowRange part{range.first + done, std::min(window.most(), range.count - done)};
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(window.Read(part, /*threads=*/1), absl::StrCat("shard ", shard)));
    window.Hash(part, &hash, /*sums=*/nullptr, row_crcs == nullptr ? nullptr : row_crcs + done);
  }
  return hash.Finish();
}

std::string DatasetDigest(const SplitRows& rows, const std::vector<ShardDigest>& shards) {
  const StoredSamples& samples = *rows.samples;
  Sha256 total;
  // Pictures by class are what there was first: their digests stay what they were.
  const bool pictures = samples.spec.is_picture_by_class();
  total.Update(pictures ? absl::StrCat("distillery dataset 1\n",
                                       absl::StrJoin(samples.shape().ToVector(), "x"), " /",
                                       samples.pixel_max(), "\n")
                        : absl::StrCat("distillery dataset 2\n", samples.spec.ToString(), "\n"));
  total.Update(absl::StrCat(absl::StrJoin(samples.class_names, "\n"), "\n", rows.shard_size, "\n"));
  for (const ShardDigest& shard : shards) {
    total.Update(absl::BytesToHexString({shard.data(), shard.size()}));
  }
  return total.HexDigest();
}

}  // namespace distillery
