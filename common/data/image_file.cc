#include "common/data/image_file.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/jpeg_file.h"
#include "common/data/png_file.h"
#include "common/data/pnm_file.h"

namespace distillery {
namespace {

struct Format {
  absl::string_view magic;
  absl::StatusOr<Image> (*decode)(absl::string_view bytes, absl::string_view name);
};

constexpr Format kFormats[] = {{"\x89PNG\r\n\x1a\n", DecodePng},
                               {"\xFF\xD8\xFF", DecodeJpeg},
                               {"P5", DecodePnm},
                               {"P6", DecodePnm}};

}  // namespace

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, int64_t channels,
                                  absl::string_view name) {
  if (channels != 0 && channels != 1 && channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("channels must be 1, 3 or 0 (as in the file), got ", channels));
  }
  if (static_cast<int64_t>(bytes.size()) > kMaxImageFileBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, " has ", bytes.size(), " bytes, the limit is ", kMaxImageFileBytes));
  }
  for (const Format& format : kFormats) {
    if (absl::StartsWith(bytes, format.magic)) {
      DISTILLERY_ASSIGN_OR_RETURN(Image image, format.decode(bytes, name));
      return WithChannels(std::move(image), channels);
    }
    if (absl::StartsWith(format.magic, bytes)) {
      return absl::DataLossError(absl::StrCat(name, bytes.empty() ? " is empty" : " is cut short"));
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is neither a PNG, a JPEG nor a binary PGM or PPM file"));
}

bool HasImageExtension(absl::string_view file_name) {
  for (const char* const extension : {".png", ".jpg", ".jpeg", ".pgm", ".ppm"}) {
    if (absl::EndsWithIgnoreCase(file_name, extension)) return true;
  }
  return false;
}

}  // namespace distillery
