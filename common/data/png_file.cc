#include "common/data/png_file.h"

#include <png.h>

#include <csetjmp>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// True if the chunks of the file, each a length, a type, content and a CRC, lead to the last one.
// libpng stops at the last pixel, so it would not see what is cut off behind.
bool ReachesEnd(absl::string_view bytes) {
  size_t at = 8;
  while (bytes.size() >= at + 12) {
    uint64_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = (length << 8) | static_cast<uint8_t>(bytes[at + i]);
    if (length > bytes.size() - at - 12) return false;
    if (bytes.substr(at + 4, 4) == "IEND") return true;
    at += 12 + length;
  }
  return false;
}

absl::Status Damaged(absl::string_view name, absl::string_view why) {
  return absl::DataLossError(absl::StrCat(name, " is damaged (PNG: ", why, ")"));
}

// libpng's full reader: its simplified one spoils interlaced files of 16 bits in patched versions
// (pnggroup/libpng#853), and converts gamma.
//
// libpng leaves by longjmp, which runs no destructors: the functions that call it own nothing.
class PngReader {
 public:
  explicit PngReader(absl::string_view bytes)
      : rest_(bytes),
        png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &OnError, &OnWarning)),
        info_(png_ == nullptr ? nullptr : png_create_info_struct(png_)) {}
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // What went wrong.
  const std::string& error() const { return error_; }

  // Reads all before the pixels.
  bool ReadHeader() {
    if (info_ == nullptr) {
      error_ = "no memory";
      return false;
    }
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_read_fn(png_, this, &OnRead);
    png_set_benign_errors(png_, /*allowed=*/1);
    // Texts and profiles may be bombs, and change no pixel here.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kUnused,
                                static_cast<int>(sizeof(kUnused) / 5));
    png_read_info(png_, info_);
    return true;
  }
  int64_t height() const { return png_get_image_height(png_, info_); }
  int64_t width() const { return png_get_image_width(png_, info_); }

  // One value for each pixel, of at most 8 bits.
  bool has_plain_values() const {
    const int colour = png_get_color_type(png_, info_);
    return (colour == PNG_COLOR_TYPE_GRAY || colour == PNG_COLOR_TYPE_PALETTE) &&
           png_get_bit_depth(png_, info_) <= 8;
  }

  // Asks for bytes: 1 to 4 for each pixel, alpha last; or, as they are stored, the values of
  // has_plain_values().
  bool Convert(bool as_stored = false) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    if (as_stored) {
      png_set_packing(png_);
    } else {
      png_set_expand(png_);
      png_set_scale_16(png_);
    }
    (void)png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }
  int64_t values_per_pixel() const { return png_get_channels(png_, info_); }
  int64_t row_bytes() const { return static_cast<int64_t>(png_get_rowbytes(png_, info_)); }

  // `rows` are height() rows of row_bytes().
  bool ReadPixels(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows);
    return true;
  }

 private:
  // Names of five bytes, as libpng wants them.
  static constexpr png_byte kUnused[] =
      "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0"
      "tIME\0zTXt";

  static void OnError(png_structp png, png_const_charp message) {
    static_cast<PngReader*>(png_get_error_ptr(png))->error_ = message;
    png_longjmp(png, 1);
  }
  static void OnWarning(png_structp /*png*/, png_const_charp /*message*/) {}
  static void OnRead(png_structp png, png_bytep output, size_t count) {
    absl::string_view& rest = static_cast<PngReader*>(png_get_io_ptr(png))->rest_;
    if (rest.size() < count) png_error(png, "it ends too early");
    std::memcpy(output, rest.data(), count);
    rest.remove_prefix(count);
  }

  absl::string_view rest_;
  std::string error_;
  png_structp png_;
  png_infop info_;
};

}  // namespace

absl::StatusOr<ImageShape> PngShape(absl::string_view start, absl::string_view name) {
  // Signature 8, length 4, "IHDR" 4, width 4, height 4, depth 1, colour type 1.
  if (start.size() < 26 || start.substr(12, 4) != "IHDR") return Damaged(name, "no header");
  const auto number = [&](size_t at) {
    return png_get_uint_32(reinterpret_cast<png_const_bytep>(start.data()) + at);
  };
  if (number(16) > PNG_UINT_31_MAX || number(20) > PNG_UINT_31_MAX) {
    return Damaged(name, "no size");
  }
  const ImageShape shape{(start[25] & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1, number(20), number(16)};
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(shape.height, shape.width, name));
  return shape;
}

namespace {

// Reads all before the pixels, of a file that is there up to its end.
absl::Status Begin(absl::string_view bytes, absl::string_view name, PngReader* png) {
  if (!png->ReadHeader()) return Damaged(name, png->error());
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(png->height(), png->width(), name));
  if (ReachesEnd(bytes)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(name, " is cut short (PNG: no end chunk)"));
}

// The rows one after the other.
absl::StatusOr<std::vector<uint8_t>> ReadRows(absl::string_view name, PngReader* png) {
  std::vector<uint8_t> values(static_cast<size_t>(png->height() * png->row_bytes()));
  std::vector<png_bytep> rows;
  rows.reserve(static_cast<size_t>(png->height()));
  for (int64_t y = 0; y < png->height(); ++y) rows.push_back(&values[y * png->row_bytes()]);
  if (!png->ReadPixels(rows.data())) return Damaged(name, png->error());
  return values;
}

}  // namespace

absl::StatusOr<Image> DecodePngValues(absl::string_view bytes, absl::string_view name) {
  if (bytes.substr(0, 8) != absl::string_view("\x89PNG\r\n\x1a\n")) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is no PNG file"));
  }
  PngReader png(bytes);
  DISTILLERY_RETURN_IF_ERROR(Begin(bytes, name, &png));
  if (!png.has_plain_values()) {
    return absl::InvalidArgumentError(absl::StrCat(
        name,
        " is in colour, with alpha or of 16 bits: it must have one value for each pixel, grey or "
        "an index of its palette"));
  }
  if (!png.Convert(/*as_stored=*/true)) return Damaged(name, png.error());
  Image image;
  image.shape = {1, png.height(), png.width()};
  DISTILLERY_ASSIGN_OR_RETURN(image.pixels, ReadRows(name, &png));
  return image;
}

absl::StatusOr<Image> DecodePng(absl::string_view bytes, absl::string_view name, AlphaRule alpha) {
  PngReader png(bytes);
  DISTILLERY_RETURN_IF_ERROR(Begin(bytes, name, &png));
  if (!png.Convert()) return Damaged(name, png.error());
  const int64_t group = png.values_per_pixel();
  const bool has_alpha = group % 2 == 0;
  const ImageShape shape{has_alpha ? group - 1 : group, png.height(), png.width()};
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<uint8_t> values, ReadRows(name, &png));
  if (!has_alpha) return FromInterleaved(shape, values.data());
  return FromInterleavedAlpha(shape, values.data(), alpha);
}

absl::StatusOr<std::string> EncodePng(const Image& image) {
  DISTILLERY_RETURN_IF_ERROR(CheckImage(image));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.shape.width);
  png.height = static_cast<png_uint_32>(image.shape.height);
  png.format = image.shape.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  const std::vector<uint8_t> values = ToInterleaved(image);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  const int written =
      png_image_write_to_memory(&png, bytes.data(), &size, /*convert_to_8_bit=*/0, values.data(),
                                /*row_stride=*/0, /*colormap=*/nullptr);
  if (written == 0) {
    return absl::InternalError(absl::StrCat("cannot write a PNG image: ", png.message));
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace distillery
