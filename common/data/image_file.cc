#include "common/data/image_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/bmp_file.h"
#include "common/data/file_kind.h"
#include "common/data/jpeg_file.h"
#include "common/data/png_file.h"
#include "common/data/pnm_file.h"
#include "common/data/tiff_file.h"
#include "common/data/webp_file.h"

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
  // What stands at byte 8, if `magic` is not enough.
  absl::string_view second = "";

  bool Begins(absl::string_view bytes) const {
    return absl::StartsWith(bytes, magic) &&
           (second.empty() ||
            absl::StartsWith(bytes.substr(std::min<size_t>(8, bytes.size())), second));
  }
  // Whether the bytes end before what tells the format.
  bool IsCut(absl::string_view bytes) const {
    if (second.empty() || bytes.size() <= 8) {
      return absl::StartsWith(magic, bytes) || (!second.empty() && absl::StartsWith(bytes, magic));
    }
    return absl::StartsWith(bytes, magic) && absl::StartsWith(second, bytes.substr(8));
  }
};

constexpr Format kFormats[] = {{"\x89PNG\r\n\x1a\n", DecodePng, PngShape},
                               {"\xFF\xD8\xFF", WithoutAlpha<DecodeJpeg>, JpegShape},
                               {"P5", WithoutAlpha<DecodePnm>, PnmShape},
                               {"P6", WithoutAlpha<DecodePnm>, PnmShape},
                               {"BM", WithoutAlpha<DecodeBmp>, BmpShape},
                               {absl::string_view("II*\0", 4), DecodeTiff, TiffShape},
                               {absl::string_view("MM\0*", 4), DecodeTiff, TiffShape},
                               {"RIFF", DecodeWebp, WebpShape, "WEBP"}};

absl::StatusOr<const Format*> FindFormat(absl::string_view bytes, int64_t channels,
                                         absl::string_view name) {
  if (channels != 0 && channels != 1 && channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("channels must be 1, 3 or 0 (as in the file), got ", channels));
  }
  for (const Format& format : kFormats) {
    if (format.Begins(bytes)) return &format;
    if (format.IsCut(bytes)) {
      return absl::DataLossError(absl::StrCat(name, bytes.empty() ? " is empty" : " is cut short"));
    }
  }
  const absl::string_view kind = FileKind(bytes);
  return absl::InvalidArgumentError(absl::StrCat(
      name, " is neither a PNG, a JPEG, a WebP, a BMP, a TIFF nor a binary PGM or PPM file",
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
  for (const char* const extension :
       {".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".pgm", ".ppm"}) {
    if (absl::EndsWithIgnoreCase(file_name, extension)) return true;
  }
  return false;
}

}  // namespace distillery
