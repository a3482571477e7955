// Names, types and places of the tensors in a safetensors file (https://github.com/huggingface/
// safetensors: 8-byte little-endian header length, JSON header, tensor bytes).
//
// The canonical file, whose SHA-256 names a set of weights, has its names sorted, no metadata, no
// gaps, and its header padded with spaces to a multiple of 8 bytes. Two sets of weights of one
// model therefore have equal headers, and element i stands at the same place in both.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/element_type.h"

namespace distillery {

// What a header may hold, so that a hostile one costs little: 2^17 entries are read in less than
// half a second.
//
// A model has 2^14 tensors at most: more than twice those of the deepest residual network, which
// has 7,000 in 1,202 layers. A file of the model's may have eight times as many, since training
// adds up to three states of the optimizer for each parameter, and an encoding doubles what there
// is.
inline constexpr int64_t kMaxModelTensors = 1 << 14;
inline constexpr int64_t kMaxTensors = 8 * kMaxModelTensors;
// Messages quote names, and "optimizer/", the state's own name or "/scales" is added to a model's.
inline constexpr int64_t kMaxModelNameBytes = 512;
inline constexpr int64_t kMaxNameBytes = 2 * kMaxModelNameBytes;
// 256 bytes for each tensor: three times what one takes whose name has 20.
inline constexpr int64_t kMaxModelHeaderBytes = 256 * kMaxModelTensors;
inline constexpr int64_t kMaxHeaderBytes = 8 * kMaxModelHeaderBytes;

struct TensorSpec {
  std::string name;
  ElementType type = ElementType::kFloat32;
  // Empty: a scalar.
  std::vector<int64_t> shape;
  // Elements, and bytes [offset, offset + byte_count) of the data after the header; set by
  // WeightsLayout.
  int64_t element_count = 0;
  int64_t offset = 0;
  int64_t byte_count = 0;
};

class WeightsLayout {
 public:
  WeightsLayout() = default;
  // The canonical layout of the tensors; their places are computed. INVALID_ARGUMENT for an empty
  // or doubled name, a shape that is not sensible, or more than Parse would read again.
  static absl::StatusOr<WeightsLayout> Create(std::vector<TensorSpec> tensors);
  // Reads the header of a whole safetensors file, strictly: known types, places that fill the data
  // exactly, no name twice, `__metadata__` ignored. INVALID_ARGUMENT says what is wrong; more than
  // kMaxTensors and the limits beside it is wrong too. Takes time in proportion to the header, but
  // for a sort. Given `cancelled`, it is asked now and then: CANCELLED once it says true.
  static absl::StatusOr<WeightsLayout> Parse(absl::string_view file,
                                             const std::function<bool()>& cancelled = nullptr);
  // The same of the start of a file of `file_size` bytes: at least its HeaderBytes.
  static absl::StatusOr<WeightsLayout> ParseHeader(
      absl::string_view start, int64_t file_size, const std::function<bool()>& cancelled = nullptr);
  // Where the data begin, by the file's first kLengthBytes, or all of a shorter one.
  // INVALID_ARGUMENT if that is not in the file, or the header is larger than kMaxHeaderBytes.
  static absl::StatusOr<int64_t> HeaderBytes(absl::string_view start, int64_t file_size);
  static constexpr int64_t kLengthBytes = 8;

  // In the order of their places.
  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  // Null if there is none of that name. Takes the logarithm of the number of tensors.
  const TensorSpec* Find(absl::string_view name) const;
  // The canonical header with its length and padding; data begins right after it.
  std::string Header() const;
  // Bytes of the header in the file that was parsed, or of the canonical one.
  int64_t data_start() const { return data_start_; }
  int64_t file_size() const { return data_start_ + data_size_; }
  bool canonical() const { return canonical_; }

 private:
  // Fills by_name_; INVALID_ARGUMENT if a name is there twice.
  absl::Status SortNames();

  std::vector<TensorSpec> tensors_;
  // Indexes of `tensors_`, by name.
  std::vector<uint32_t> by_name_;
  int64_t data_start_ = 0;
  int64_t data_size_ = 0;
  bool canonical_ = false;
};

// INVALID_ARGUMENT for a model with more tensors, longer names or a longer header than its files
// have room for: see kMaxModelTensors.
absl::Status CheckModelLayout(const WeightsLayout& layout);

// FAILED_PRECONDITION naming the first tensor that is missing, extra or different.
absl::Status CheckSameLayout(const WeightsLayout& expected, const WeightsLayout& got);

}  // namespace distillery
