// The tensors of a safetensors file that is read piece by piece: nobody holds it whole, and it is
// never mapped, since a file that is cut short while it is mapped ends the process by SIGBUS.
//
// Threads: immutable, safe for all if the reader is. Reads block on what the reader reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/weights/layout.h"

namespace distillery {

class TensorSource {
 public:
  // Reads exactly `bytes` from `offset` on.
  using Reader = std::function<absl::Status(int64_t offset, int64_t bytes, char* output)>;

  // Reads the header of a file of `size` bytes. INVALID_ARGUMENT as WeightsLayout::Parse; errors of
  // `read`; CANCELLED as there.
  static absl::StatusOr<TensorSource> Open(int64_t size, Reader read,
                                           const std::function<bool()>& cancelled = nullptr);
  // The tensors of a file on disk; errors as those of InputFile.
  static absl::StatusOr<TensorSource> OpenFile(const std::string& path,
                                               const std::function<bool()>& cancelled = nullptr);
  // The tensors of a file in memory, which must outlive this.
  static absl::StatusOr<TensorSource> OfBytes(absl::string_view file);

  const WeightsLayout& layout() const { return layout_; }
  // Bytes [first, first + bytes) of the tensor, one of the layout's.
  absl::Status Read(const TensorSpec& tensor, int64_t first, int64_t bytes, char* output) const {
    return read_(layout_.data_start() + tensor.offset + first, bytes, output);
  }
  // Gives the tensor's bytes to `sink` in pieces of whole elements, a megabyte at the most. Errors
  // of the reader and of `sink`.
  absl::Status ForEachPiece(const TensorSpec& tensor,
                            const std::function<absl::Status(absl::string_view)>& sink) const;

 private:
  TensorSource(WeightsLayout layout, Reader read)
      : layout_(std::move(layout)), read_(std::move(read)) {}
  WeightsLayout layout_;
  Reader read_;
};

}  // namespace distillery
