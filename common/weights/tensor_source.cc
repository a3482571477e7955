#include "common/weights/tensor_source.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/input_file.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<TensorSource> TensorSource::Open(int64_t size, Reader read,
                                                const std::function<bool()>& cancelled) {
  std::string start(static_cast<size_t>(std::min(size, WeightsLayout::kLengthBytes)), '\0');
  DISTILLERY_RETURN_IF_ERROR(read(0, static_cast<int64_t>(start.size()), start.data()));
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t header, WeightsLayout::HeaderBytes(start, size));
  start.resize(static_cast<size_t>(header));
  DISTILLERY_RETURN_IF_ERROR(read(0, header, start.data()));
  DISTILLERY_ASSIGN_OR_RETURN(WeightsLayout layout,
                              WeightsLayout::ParseHeader(start, size, cancelled));
  return TensorSource(std::move(layout), std::move(read));
}

absl::StatusOr<TensorSource> TensorSource::OpenFile(const std::string& path,
                                                    const std::function<bool()>& cancelled) {
  DISTILLERY_ASSIGN_OR_RETURN(InputFile opened, InputFile::Open(path));
  const auto file = std::make_shared<const InputFile>(std::move(opened));
  return Open(
      file->size(),
      [file](int64_t offset, int64_t bytes, char* output) {
        return file->ReadAt(offset, bytes, output);
      },
      cancelled);
}

absl::StatusOr<TensorSource> TensorSource::OfBytes(absl::string_view file) {
  return Open(static_cast<int64_t>(file.size()),
              [file](int64_t offset, int64_t bytes, char* output) {
                if (bytes > 0)
                  std::memcpy(output, file.data() + offset, static_cast<size_t>(bytes));
                return absl::OkStatus();
              });
}

absl::Status TensorSource::ForEachPiece(
    const TensorSpec& tensor, const std::function<absl::Status(absl::string_view)>& sink) const {
  constexpr int64_t kPieceBytes = 1 << 20;  // a multiple of every element's size
  std::string piece;
  for (int64_t first = 0; first < tensor.byte_count; first += kPieceBytes) {
    piece.resize(static_cast<size_t>(std::min(kPieceBytes, tensor.byte_count - first)));
    DISTILLERY_RETURN_IF_ERROR(
        Read(tensor, first, static_cast<int64_t>(piece.size()), piece.data()));
    DISTILLERY_RETURN_IF_ERROR(sink(piece));
  }
  return absl::OkStatus();
}

}  // namespace distillery
