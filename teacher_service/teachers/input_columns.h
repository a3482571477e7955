// The inputs of a batch as a model takes them: one column for each input of its card.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/data/sample_spec.h"

namespace distillery {

// For each input of a card, in its order: rows * elements() numbers of ModelType (numbers.h),
// row-major and aligned. Somebody else's memory.
class InputColumns {
 public:
  InputColumns() = default;
  // Of a model with one input, of float32: pixels in 0..1.
  InputColumns(const float* numbers) : columns_{numbers} {}  // NOLINT
  explicit InputColumns(std::vector<const void*> columns) : columns_(std::move(columns)) {}

  size_t size() const { return columns_.size(); }
  const void* operator[](size_t input) const { return columns_[input]; }
  // Of a model with one input, of float32.
  const float* floats() const { return static_cast<const float*>(columns_.front()); }
  // The same without the first `rows` rows.
  InputColumns From(const std::vector<InputSpec>& inputs, int64_t rows) const;

 private:
  std::vector<const void*> columns_;
};

// Memory for columns, which is kept: fresh pages would cost more than a copy.
class InputBuffer {
 public:
  // Room for `rows` rows; what was there is lost.
  void Resize(const std::vector<InputSpec>& inputs, int64_t rows);
  // Zeros in the first `rows` rows.
  void Clear(const std::vector<InputSpec>& inputs, int64_t rows);
  // Copies `count` rows to row `first` and those behind it.
  void Copy(const std::vector<InputSpec>& inputs, int64_t first, const InputColumns& rows,
            int64_t count);

  // Where each column begins.
  std::vector<void*> columns() const;
  InputColumns inputs() const;

 private:
  struct Column {
    std::unique_ptr<char[]> bytes;
    int64_t capacity = 0;
  };
  // Of the last Resize; there may be more columns.
  size_t count_ = 0;
  std::vector<Column> columns_;
};

}  // namespace distillery
