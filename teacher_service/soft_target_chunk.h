// One chunk of a stream: consecutive rows of soft targets, and of samples, as tensors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/element_type.h"
#include "common/data/augmentation.h"
#include "common/data/dataset.h"
#include "common/soft_targets/format.h"
#include "teacher_service/buffer_pool.h"
#include "teacher_service/logit_source.h"

namespace distillery {

// A tensor in memory that somebody else holds.
struct TensorView {
  // Field of SoftTargetChunk.
  int field = 0;
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> shape;
  absl::string_view bytes;
};

struct SoftTargetChunk {
  int64_t start_row = 0;
  int64_t rows = 0;
  // In the order of the fields.
  std::vector<TensorView> tensors;
  // CRC-32C of the tensors' bytes, if it is known: of logits as they are stored, and nothing else.
  std::optional<uint32_t> crc32c;
  // Keeps the tensors' bytes alive.
  std::shared_ptr<const void> owner;
};

// The bytes that go before each tensor's own bytes, so that together they are the serialized
// StreamSoftTargetsResponse with this chunk, byte for byte as the generated class writes it.
// Field numbers as in teacher_service.proto and tensor.proto.
std::vector<std::string> ChunkWireParts(const SoftTargetChunk& chunk);

// Makes the chunks of one shard's stream. The data set must outlive it. Not thread-safe.
class ChunkMaker {
 public:
  struct Options {
    SoftTargetFormat format;
    bool include_samples = false;
    View view;
    // The limit of one chunk's tensors, and of what is read from a file for it.
    int64_t max_bytes = 1 << 20;
  };
  // `shard`: its rows in the data set. `pool` must outlive this.
  ChunkMaker(const Options& options, const Dataset* dataset, RowRange shard, BufferPool* pool);

  // Reads as many rows as Make would take from a file into memory. Blocks; errors as
  // CachedLogits::Read. REQUIRES: logits.file is set.
  absl::StatusOr<LogitRows> Load(const LogitRows& logits) const;
  // As many rows from the first of `logits` on as fit into max_bytes, at least one. Raw logits that
  // are in memory as they are asked for are not copied. From a file, Load comes first.
  absl::StatusOr<SoftTargetChunk> Make(const LogitRows& logits);
  // Samples alone, of up to `rows` rows from start_row on. Errors, as those of Make for samples, as
  // Dataset::ReadRecords.
  absl::StatusOr<SoftTargetChunk> MakeSamples(int64_t start_row, int64_t rows);

 private:
  int64_t RowBytes() const;
  // How many of so many bytes fit into max_bytes, at least one.
  int64_t Fit(int64_t row_bytes) const {
    return std::max<int64_t>(1, options_.max_bytes / row_bytes);
  }
  // `logits`, if any, are in memory.
  absl::StatusOr<SoftTargetChunk> Build(const LogitRows* logits, int64_t start_row, int64_t rows);

  const Options options_;
  const Dataset* const dataset_;
  const RowRange shard_;
  BufferPool* const pool_;
  // Of the soft targets of a row.
  const AnswerShape shape_;
};

}  // namespace distillery
