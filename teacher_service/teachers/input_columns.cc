#include "teacher_service/teachers/input_columns.h"

#include <algorithm>
#include <cstring>

#include "common/data/numbers.h"

namespace distillery {

InputColumns InputColumns::From(const std::vector<InputSpec>& inputs, int64_t rows) const {
  InputColumns rest;
  for (size_t i = 0; i < columns_.size(); ++i) {
    rest.columns_.push_back(static_cast<const char*>(columns_[i]) + rows * ModelBytes(inputs[i]));
  }
  return rest;
}

void InputBuffer::Resize(const std::vector<InputSpec>& inputs, int64_t rows) {
  count_ = inputs.size();
  columns_.resize(std::max(columns_.size(), count_));
  for (size_t i = 0; i < count_; ++i) {
    Column& column = columns_[i];
    const int64_t bytes = rows * ModelBytes(inputs[i]);
    if (column.capacity >= bytes) continue;
    column.bytes.reset(new char[static_cast<size_t>(bytes)]);  // not zeroed
    column.capacity = bytes;
  }
}

void InputBuffer::Clear(const std::vector<InputSpec>& inputs, int64_t rows) {
  for (size_t i = 0; i < count_; ++i) {
    std::memset(columns_[i].bytes.get(), 0, static_cast<size_t>(rows * ModelBytes(inputs[i])));
  }
}

void InputBuffer::Copy(const std::vector<InputSpec>& inputs, int64_t first,
                       const InputColumns& rows, int64_t count) {
  for (size_t i = 0; i < count_; ++i) {
    const int64_t bytes = ModelBytes(inputs[i]);
    std::memcpy(columns_[i].bytes.get() + first * bytes, rows[i],
                static_cast<size_t>(count * bytes));
  }
}

std::vector<void*> InputBuffer::columns() const {
  std::vector<void*> columns;
  for (size_t i = 0; i < count_; ++i) columns.push_back(columns_[i].bytes.get());
  return columns;
}

InputColumns InputBuffer::inputs() const {
  const std::vector<void*> own = columns();
  return InputColumns(std::vector<const void*>(own.begin(), own.end()));
}

}  // namespace distillery
