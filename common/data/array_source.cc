#include "common/data/array_source.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/data/sample_spec.h"
#include "common/data/samples.h"

namespace distillery {
namespace {

// Rows are read so many bytes at a time, or one by one.
constexpr int64_t kPieceBytes = int64_t{1} << 20;

int64_t RowBytes(const NpyHeader& header) {
  int64_t bytes = header.element_bytes();
  for (size_t i = 1; i < header.shape.size(); ++i) bytes *= header.shape[i];
  return bytes;
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

absl::Status ArrayInput::ForEachRow(
    const std::function<absl::Status(int64_t row, absl::string_view bytes)>& visit) {
  const int64_t row_bytes = RowBytes(header_);
  const int64_t block_rows = std::max<int64_t>(1, kPieceBytes / row_bytes);
  std::string block;
  for (int64_t first = 0; first < rows(); first += block_rows) {
    const int64_t count = std::min(block_rows, rows() - first);
    block.clear();
    // A large row takes memory as it comes: an archive may say that it is longer than it is.
    for (int64_t left = count * row_bytes; left > 0;) {
      const int64_t piece = std::min(left, kPieceBytes);
      block.resize(block.size() + static_cast<size_t>(piece));
      DISTILLERY_RETURN_IF_ERROR(
          Read(piece, block.data() + static_cast<int64_t>(block.size()) - piece));
      left -= piece;
    }
    for (int64_t i = 0; i < count; ++i) {
      DISTILLERY_RETURN_IF_ERROR(
          visit(first + i, absl::string_view(block).substr(static_cast<size_t>(i * row_bytes),
                                                           static_cast<size_t>(row_bytes))));
    }
  }
  return Finish();
}

absl::Status CheckRows(const NpyHeader& header, absl::string_view place) {
  if (header.shape.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, " is one number, wanted: [samples] or [samples, ...]"));
  }
  if (header.shape[0] > kMaxSamples) {
    return absl::ResourceExhaustedError(absl::StrCat(
        place, " has ", header.shape[0], " samples, the most of a data set are ", kMaxSamples));
  }
  // Elements are 1 to 8 bytes, and ParseNpyHeader bounds their number.
  if (RowBytes(header) > 2 * kMaxSampleBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, " has the shape ", ShapeText(header.shape), ": a sample has more than ",
                     kMaxSampleBytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace distillery
