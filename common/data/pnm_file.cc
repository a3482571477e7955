#include "common/data/pnm_file.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Takes one number of a header, with the white space and comments before it; -1 if there is none.
int64_t TakeNumber(absl::string_view* rest) {
  while (!rest->empty() && (absl::ascii_isspace(rest->front()) || rest->front() == '#')) {
    if (rest->front() == '#') {
      const size_t end = rest->find('\n');
      rest->remove_prefix(end == absl::string_view::npos ? rest->size() : end);
    } else {
      rest->remove_prefix(1);
    }
  }
  size_t digits = 0;
  while (digits < rest->size() && absl::ascii_isdigit((*rest)[digits])) ++digits;
  int64_t number = -1;
  if (!absl::SimpleAtoi(rest->substr(0, digits), &number)) return -1;
  rest->remove_prefix(digits);
  return number;
}

// Takes the header.
absl::StatusOr<ImageShape> TakeShape(absl::string_view* rest, absl::string_view name) {
  const int64_t channels = absl::ConsumePrefix(rest, "P5")   ? 1
                           : absl::ConsumePrefix(rest, "P6") ? 3
                                                             : 0;
  const int64_t width = channels == 0 ? -1 : TakeNumber(rest);
  const int64_t height = width < 0 ? -1 : TakeNumber(rest);
  const int64_t largest = height < 0 ? -1 : TakeNumber(rest);
  if (largest < 0 || rest->empty() || !absl::ascii_isspace(rest->front())) {
    return absl::DataLossError(absl::StrCat(name, " is damaged or cut short (PGM/PPM header)"));
  }
  rest->remove_prefix(1);
  if (largest != 255) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has the largest value ", largest,
                                                   "; PGM and PPM files are read with 255 only"));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(height, width, name));
  return ImageShape{channels, height, width};
}

}  // namespace

absl::StatusOr<ImageShape> PnmShape(absl::string_view start, absl::string_view name) {
  return TakeShape(&start, name);
}

absl::StatusOr<Image> DecodePnm(absl::string_view bytes, absl::string_view name) {
  absl::string_view rest = bytes;
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape shape, TakeShape(&rest, name));
  if (static_cast<int64_t>(rest.size()) != shape.size()) {
    return absl::DataLossError(absl::StrCat(name, " has ", rest.size(),
                                            " bytes of pixels, its header says ", shape.size()));
  }
  return FromInterleaved(shape, reinterpret_cast<const uint8_t*>(rest.data()));
}

}  // namespace distillery
