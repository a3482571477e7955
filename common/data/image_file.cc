#include "common/data/image_file.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/file_kind.h"
#include "common/data/jpeg_file.h"
#include "common/data/png_file.h"
#include "common/data/pnm_file.h"

namespace distillery {
namespace {

using Decode = absl::StatusOr<Image> (*)(absl::string_view, absl::string_view, AlphaRule);
using Look = absl::StatusOr<ImageShape> (*)(absl::string_view, absl::string_view);

// For a format without alpha.
template <absl::StatusOr<Image> (*decode)(absl::string_view, absl::string_view)>
absl::StatusOr<Image> WithoutAlpha(absl::string_view bytes, absl::string_view name,
                                   AlphaRule /*alpha*/) {
  return decode(bytes, name);
}

struct Format {
  absl::string_view magic;
  Decode decode;
  Look shape;
};

constexpr Format kFormats[] = {{"\x89PNG\r\n\x1a\n", DecodePng, PngShape},
                               {"\xFF\xD8\xFF", WithoutAlpha<DecodeJpeg>, JpegShape},
                               {"P5", WithoutAlpha<DecodePnm>, PnmShape},
                               {"P6", WithoutAlpha<DecodePnm>, PnmShape}};

absl::StatusOr<const Format*> FindFormat(absl::string_view bytes, int64_t channels,
                                         absl::string_view name) {
  if (channels != 0 && channels != 1 && channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("channels must be 1, 3 or 0 (as in the file), got ", channels));
  }
  for (const Format& format : kFormats) {
    if (absl::StartsWith(bytes, format.magic)) return &format;
    if (absl::StartsWith(format.magic, bytes)) {
      return absl::DataLossError(absl::StrCat(name, bytes.empty() ? " is empty" : " is cut short"));
    }
  }
  const absl::string_view kind = FileKind(bytes);
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is neither a PNG, a JPEG nor a binary PGM or PPM file",
                   kind.empty() ? "" : ", but ", kind));
}

}  // namespace

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, int64_t channels, absl::string_view name,
                                  AlphaRule alpha) {
  if (static_cast<int64_t>(bytes.size()) > kMaxImageFileBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, " has ", bytes.size(), " bytes, the limit is ", kMaxImageFileBytes));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const Format* const format, FindFormat(bytes, channels, name));
  DISTILLERY_ASSIGN_OR_RETURN(Image image, format->decode(bytes, name, alpha));
  return WithChannels(std::move(image), channels);
}

absl::StatusOr<ImageShape> ReadImageShape(absl::string_view start, int64_t channels,
                                          absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const Format* const format, FindFormat(start, channels, name));
  DISTILLERY_ASSIGN_OR_RETURN(ImageShape shape, format->shape(start, name));
  if (channels != 0) shape.channels = channels;
  return shape;
}

bool HasImageExtension(absl::string_view file_name) {
  for (const char* const extension : {".png", ".jpg", ".jpeg", ".jfif", ".pgm", ".ppm"}) {
    if (absl::EndsWithIgnoreCase(file_name, extension)) return true;
  }
  return false;
}

}  // namespace distillery
