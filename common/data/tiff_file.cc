#include "common/data/tiff_file.h"

#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// The most that libtiff may allocate at once: a strip of the largest picture.
constexpr tmsize_t kMaxTiffAllocation = tmsize_t{512} << 20;

// How the page is stored.
struct TiffPage {
  ImageShape shape;
  bool has_alpha = false;
  bool white_is_zero = false;
  bool separate = false;
  // 1 or 2.
  int64_t bytes_per_value = 1;

  int64_t values_per_pixel() const { return shape.channels + (has_alpha ? 1 : 0); }
};

// Bytes in memory as a file, with what libtiff says of it.
class TiffReader {
 public:
  TiffReader(absl::string_view bytes, absl::string_view name) : bytes_(bytes), name_(name) {
    TIFFOpenOptions* const options = TIFFOpenOptionsAlloc();
    if (options == nullptr) return;
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, kMaxTiffAllocation);
    TIFFOpenOptionsSetErrorHandlerExtR(options, &OnError, this);
    TIFFOpenOptionsSetWarningHandlerExtR(options, &OnWarning, this);
    tiff_ = TIFFClientOpenExt("tiff", "rm", this, &OnRead, &OnWrite, &OnSeek, &OnClose, &OnSize,
                              nullptr, nullptr, options);
    TIFFOpenOptionsFree(options);
  }
  ~TiffReader() {
    if (tiff_ != nullptr) TIFFClose(tiff_);
  }
  TiffReader(const TiffReader&) = delete;
  TiffReader& operator=(const TiffReader&) = delete;

  // Errors as DecodeTiff.
  absl::StatusOr<TiffPage> ReadPage() {
    if (tiff_ == nullptr || !error_.empty()) return Damaged();
    uint32_t width = 0;
    uint32_t height = 0;
    if (TIFFGetField(tiff_, TIFFTAG_IMAGEWIDTH, &width) == 0 ||
        TIFFGetField(tiff_, TIFFTAG_IMAGELENGTH, &height) == 0) {
      return Damaged();
    }
    DISTILLERY_RETURN_IF_ERROR(CheckKind());
    TiffPage page;
    const uint16_t photometric = Field(TIFFTAG_PHOTOMETRIC, 0xFFFF);
    if (photometric != PHOTOMETRIC_MINISBLACK && photometric != PHOTOMETRIC_MINISWHITE &&
        photometric != PHOTOMETRIC_RGB) {
      return NotRead(absl::StrCat("of another kind than grey or RGB (", photometric, ")"));
    }
    page.white_is_zero = photometric == PHOTOMETRIC_MINISWHITE;
    page.shape = {photometric == PHOTOMETRIC_RGB ? 3 : 1, height, width};
    page.separate = Field(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
    page.bytes_per_value = Field(TIFFTAG_BITSPERSAMPLE, 1) / 8;
    const uint16_t values = Field(TIFFTAG_SAMPLESPERPIXEL, 1);
    page.has_alpha = values == page.shape.channels + 1;
    if (!page.has_alpha && values != page.shape.channels) {
      return NotRead(absl::StrCat("with ", values, " values for each pixel"));
    }
    if (page.has_alpha) {
      uint16_t count = 0;
      const uint16_t* kinds = nullptr;
      const bool known = TIFFGetField(tiff_, TIFFTAG_EXTRASAMPLES, &count, &kinds) != 0;
      if (!known || count != 1 || kinds[0] != EXTRASAMPLE_UNASSALPHA) {
        return NotRead("whose last value is not plain alpha, or is premultiplied");
      }
    }
    DISTILLERY_RETURN_IF_ERROR(CheckImageSize(page.shape.height, page.shape.width, name_));
    return page;
  }

  // To bytes [height, width, values]. REQUIRES: ReadPage gave `page`.
  absl::StatusOr<std::vector<uint8_t>> ReadPixels(const TiffPage& page) {
    const int64_t values = page.values_per_pixel();
    // Of a row in the file: all values of its pixels, or one.
    const int64_t row_values = page.shape.width * (page.separate ? 1 : values);
    const int64_t row_bytes = row_values * page.bytes_per_value;
    if (TIFFScanlineSize64(tiff_) != static_cast<uint64_t>(row_bytes)) return Damaged();
    std::vector<uint8_t> row(static_cast<size_t>(row_bytes));
    std::vector<uint8_t> pixels(static_cast<size_t>(page.shape.height * page.shape.width * values));
    const int64_t stride = page.separate ? values : 1;
    for (int64_t plane = 0; plane < stride; ++plane) {
      for (int64_t y = 0; y < page.shape.height; ++y) {
        const int read = TIFFReadScanline(tiff_, row.data(), static_cast<uint32_t>(y),
                                          static_cast<uint16_t>(plane));
        if (read < 0 || !error_.empty()) return Damaged();
        uint8_t* output = &pixels[y * page.shape.width * values + plane];
        for (int64_t i = 0; i < row_values; ++i, output += stride) {
          *output = ValueAt(row, i, page.bytes_per_value);
        }
      }
    }
    return pixels;
  }

 private:
  static uint8_t ValueAt(const std::vector<uint8_t>& row, int64_t i, int64_t bytes_per_value) {
    if (bytes_per_value == 1) return row[i];
    uint16_t value = 0;
    std::memcpy(&value, &row[2 * i], sizeof value);
    return static_cast<uint8_t>((uint32_t{value} * 255 + 32767) / 65535);
  }

  uint16_t Field(uint32_t tag, uint16_t otherwise) {
    uint16_t value = 0;
    return TIFFGetFieldDefaulted(tiff_, tag, &value) == 0 ? otherwise : value;
  }
  absl::Status CheckKind() {
    if (TIFFIsTiled(tiff_) != 0) return NotRead("in tiles");
    const uint16_t bits = Field(TIFFTAG_BITSPERSAMPLE, 1);
    if (bits != 8 && bits != 16) return NotRead(absl::StrCat("of ", bits, " bits"));
    if (Field(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT) != SAMPLEFORMAT_UINT) {
      return NotRead("of floats or numbers with a sign");
    }
    if (Field(TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT) != ORIENTATION_TOPLEFT) {
      return NotRead("that is turned or mirrored by a tag");
    }
    const uint16_t compression = Field(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    for (const uint16_t known : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE,
                                 COMPRESSION_DEFLATE, COMPRESSION_PACKBITS}) {
      if (compression == known) return absl::OkStatus();
    }
    return NotRead(absl::StrCat("with the compression ", compression));
  }
  absl::Status NotRead(absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, " is a TIFF picture ", what, "; save it as a PNG"));
  }
  absl::Status Damaged() const {
    return absl::DataLossError(absl::StrCat(name_, " is damaged or cut short (TIFF",
                                            error_.empty() ? "" : ": ", error_, ")"));
  }

  static TiffReader* Of(thandle_t handle) { return static_cast<TiffReader*>(handle); }
  static tmsize_t OnRead(thandle_t handle, void* output, tmsize_t count) {
    TiffReader& reader = *Of(handle);
    if (count <= 0 || reader.at_ >= reader.bytes_.size()) return 0;
    const size_t taken = std::min(static_cast<size_t>(count), reader.bytes_.size() - reader.at_);
    std::memcpy(output, reader.bytes_.data() + reader.at_, taken);
    reader.at_ += taken;
    return static_cast<tmsize_t>(taken);
  }
  static tmsize_t OnWrite(thandle_t /*handle*/, void* /*bytes*/, tmsize_t /*count*/) { return 0; }
  static toff_t OnSeek(thandle_t handle, toff_t offset, int whence) {
    TiffReader& reader = *Of(handle);
    const uint64_t base = whence == SEEK_SET   ? 0
                          : whence == SEEK_CUR ? reader.at_
                                               : reader.bytes_.size();
    reader.at_ = base + offset;
    return reader.at_;
  }
  static int OnClose(thandle_t /*handle*/) { return 0; }
  static toff_t OnSize(thandle_t handle) { return Of(handle)->bytes_.size(); }
  // Keeps the first one.
  static int OnError(TIFF* /*tiff*/, void* reader, const char* /*module*/, const char* format,
                     va_list arguments) {
    std::string& error = static_cast<TiffReader*>(reader)->error_;
    if (!error.empty()) return 1;
    char text[200];
    (void)std::vsnprintf(text, sizeof text, format, arguments);
    error = text[0] == '\0' ? "an error" : text;
    return 1;
  }
  static int OnWarning(TIFF* /*tiff*/, void* /*reader*/, const char* /*module*/,
                       const char* /*format*/, va_list /*arguments*/) {
    return 1;
  }

  const absl::string_view bytes_;
  const absl::string_view name_;
  uint64_t at_ = 0;
  std::string error_;
  TIFF* tiff_ = nullptr;
};

}  // namespace

absl::StatusOr<ImageShape> TiffShape(absl::string_view start, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const TiffPage page, TiffReader(start, name).ReadPage());
  return page.shape;
}

absl::StatusOr<Image> DecodeTiff(absl::string_view bytes, absl::string_view name, AlphaRule alpha) {
  TiffReader reader(bytes, name);
  DISTILLERY_ASSIGN_OR_RETURN(const TiffPage page, reader.ReadPage());
  DISTILLERY_ASSIGN_OR_RETURN(std::vector<uint8_t> pixels, reader.ReadPixels(page));
  if (page.white_is_zero) {
    const int64_t values = page.values_per_pixel();
    for (size_t i = 0; i < pixels.size(); i += values) pixels[i] = 255 - pixels[i];
  }
  return page.has_alpha ? FromInterleavedAlpha(page.shape, pixels.data(), alpha)
                        : FromInterleaved(page.shape, pixels.data());
}

}  // namespace distillery
