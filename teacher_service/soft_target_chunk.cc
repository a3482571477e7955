#include "teacher_service/soft_target_chunk.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "common/base/half.h"
#include "common/base/proto_wire.h"
#include "common/base/status_macros.h"
#include "common/data/pixels.h"
#include "common/soft_targets/encode.h"

namespace distillery {
namespace {

// Fields of SoftTargetChunk.
constexpr int kStartRow = 1;
// The first of the tensors of soft targets; the others follow in the order of TensorRole.
constexpr int kValues = 2;
constexpr int kInputs = 6;
constexpr int kLabels = 7;
static_assert(kValues + kTensorRoleCount == kInputs);
// The field of StreamSoftTargetsResponse.
constexpr int kChunk = 2;
// The fields of Tensor.
constexpr int kDataType = 1;
constexpr int kShape = 2;
constexpr int kData = 3;

// A Tensor up to the bytes of its data.
std::string TensorPrefix(const TensorView& tensor) {
  std::string shape;
  for (const int64_t size : tensor.shape) AppendVarint(static_cast<uint64_t>(size), &shape);
  std::string prefix;
  AppendVarintField(kDataType, static_cast<uint64_t>(SpecOf(tensor.type).wire), &prefix);
  AppendBytesField(kShape, shape, &prefix);
  if (!tensor.bytes.empty()) AppendLengthField(kData, tensor.bytes.size(), &prefix);
  return prefix;
}

}  // namespace

std::vector<std::string> ChunkWireParts(const SoftTargetChunk& chunk) {
  std::vector<std::string> parts;
  std::string head;
  if (chunk.start_row != 0) {
    AppendVarintField(kStartRow, static_cast<uint64_t>(chunk.start_row), &head);
  }
  uint64_t size = 0;
  for (const TensorView& tensor : chunk.tensors) {
    const std::string prefix = TensorPrefix(tensor);
    AppendLengthField(tensor.field, prefix.size() + tensor.bytes.size(), &head);
    head += prefix;
    size += head.size() + tensor.bytes.size();
    parts.push_back(std::move(head));
    head.clear();
  }
  if (parts.empty()) {
    size = head.size();
    parts.push_back(std::move(head));
  }
  std::string outer;
  AppendLengthField(kChunk, size, &outer);
  parts.front().insert(0, outer);
  return parts;
}

ChunkMaker::ChunkMaker(const Options& options, const Dataset* dataset, RowRange shard,
                       BufferPool* pool)
    : options_(options),
      dataset_(dataset),
      shard_(shard),
      pool_(pool),
      shape_(dataset->spec().answer, dataset->class_count()) {}

int64_t ChunkMaker::RowBytes() const {
  int64_t bytes = 0;
  if (options_.format.representation != Representation::kNone) {
    bytes += options_.format.SizesOf(1, shape_).total();
  }
  if (options_.include_samples) bytes += dataset_->record_bytes() + 4;
  return std::max<int64_t>(1, bytes);
}

absl::StatusOr<LogitRows> ChunkMaker::Load(const LogitRows& logits) const {
  const CachedLogits& file = *logits.file;
  // What is read is bounded too: top-k makes little of it.
  int64_t rows = std::min({Fit(RowBytes()), Fit(file.row_bytes()), logits.rows});
  // To the end of a block, lest its other part is read twice for its checksum.
  const int64_t end = (logits.first_row + rows) / file.block_rows() * file.block_rows();
  if (rows < logits.rows && end > logits.first_row) rows = end - logits.first_row;
  const std::shared_ptr<char> buffer = pool_->Take(rows * file.row_bytes());
  LogitRows read = logits;
  read.file = nullptr;
  read.rows = rows;
  DISTILLERY_RETURN_IF_ERROR(
      file.Read(logits.first_row, rows, buffer.get(), &read.crc32c.emplace()));
  read.owner = buffer;
  read.data = buffer.get();
  return read;
}

absl::StatusOr<SoftTargetChunk> ChunkMaker::Make(const LogitRows& logits) {
  if (logits.file == nullptr) {
    return Build(&logits, logits.first_row, std::min(Fit(RowBytes()), logits.rows));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const LogitRows read, Load(logits));
  return Build(&read, read.first_row, read.rows);
}

absl::StatusOr<SoftTargetChunk> ChunkMaker::MakeSamples(int64_t start_row, int64_t rows) {
  return Build(nullptr, start_row, std::min(Fit(RowBytes()), rows));
}

absl::StatusOr<SoftTargetChunk> ChunkMaker::Build(const LogitRows* logits, int64_t start_row,
                                                  int64_t rows) {
  SoftTargetChunk chunk;
  chunk.start_row = start_row;
  chunk.rows = rows;
  const SoftTargetFormat& format = options_.format;
  const bool as_stored =
      logits != nullptr && format.temperature == 1 &&
      format.representation == Representation::kLogits &&
      format.encoding == (logits->half ? Encoding::kFloat16 : Encoding::kFloat32);
  const bool encode = logits != nullptr && !as_stored;
  EncodedSizes sizes;
  if (encode) sizes = format.SizesOf(rows, shape_);
  const int64_t record_bytes = options_.include_samples ? rows * dataset_->record_bytes() : 0;
  const int64_t label_bytes = options_.include_samples ? rows * 4 : 0;
  const int64_t total = sizes.total() + record_bytes + label_bytes;
  std::shared_ptr<char> buffer;
  if (total > 0) buffer = pool_->Take(total);
  char* next = buffer.get();
  const auto add = [&](int field, ElementType type, std::vector<int64_t> shape, int64_t bytes) {
    if (bytes == 0) return static_cast<char*>(nullptr);
    char* const start = next;
    chunk.tensors.push_back({field, type, std::move(shape), {start, static_cast<size_t>(bytes)}});
    next += bytes;
    return start;
  };
  if (as_stored) {
    EncodedTensor stored = format.Tensors(rows, shape_).front();
    const auto bytes = static_cast<size_t>(stored.bytes());
    chunk.tensors.push_back({kValues, stored.type, std::move(stored.shape), {logits->data, bytes}});
  } else if (encode) {
    EncodedBuffers output;
    for (EncodedTensor& tensor : format.Tensors(rows, shape_)) {
      output[tensor.role] = add(kValues + static_cast<int>(tensor.role), tensor.type,
                                std::move(tensor.shape), sizes[tensor.role]);
    }
    if (logits->half) {
      const int64_t count = rows * shape_.values();
      std::vector<float> floats(static_cast<size_t>(count));
      HalvesToFloats(logits->data, count, floats.data());
      EncodeSoftTargets(floats.data(), rows, shape_, format, output);
    } else {
      EncodeSoftTargets(reinterpret_cast<const float*>(logits->data), rows, shape_, format, output);
    }
  }
  if (options_.include_samples) {
    std::vector<int64_t> shape = {rows, dataset_->record_bytes()};
    if (dataset_->spec().is_picture_by_class()) {
      const ImageShape picture = dataset_->shape();
      shape = {rows, picture.channels, picture.height, picture.width};
    }
    char* const records = add(kInputs, ElementType::kUInt8, std::move(shape), record_bytes);
    std::vector<int64_t> indexes(static_cast<size_t>(rows));
    std::iota(indexes.begin(), indexes.end(), shard_.first + start_row);
    DISTILLERY_RETURN_IF_ERROR(
        LoadRecords(*dataset_, indexes, options_.view, reinterpret_cast<uint8_t*>(records)));
    char* label = add(kLabels, ElementType::kInt32, {rows}, label_bytes);
    for (const int64_t index : indexes) {
      const int32_t value = dataset_->Label(index);
      std::memcpy(label, &value, sizeof(value));
      label += sizeof(value);
    }
  }
  if (as_stored && chunk.tensors.size() == 1 && rows == logits->rows) chunk.crc32c = logits->crc32c;
  if (as_stored && buffer != nullptr) {
    using Both = std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>;
    chunk.owner = std::make_shared<Both>(buffer, logits->owner);
  } else if (as_stored) {
    chunk.owner = logits->owner;
  } else {
    chunk.owner = buffer;
  }
  return chunk;
}

}  // namespace distillery
