#include "common/data/jpeg_file.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <iterator>
#include <vector>

// After <cstdio>, which they need.
#include <jerror.h>
#include <jpeglib.h>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// A file of few bytes may ask for very many passes over a large picture.
constexpr int kMaxScans = 500;

// Warnings after which all of the picture is there; any other means that some of it was made up.
bool IsHarmless(int warning) {
  switch (warning) {
    case JWRN_ADOBE_XFORM:      // an unknown number in Adobe's own segment
    case JWRN_BOGUS_ICC:        // a colour profile, which is not used
    case JWRN_EXTRANEOUS_DATA:  // bytes between two segments
    case JWRN_JFIF_MAJOR:       // a version not yet known
    case JWRN_NOT_SEQUENTIAL:   // numbers that a sequential file does not use
    case JWRN_TOO_MUCH_DATA:
      return true;
    default:
      return false;
  }
}

bool IsOtherKind(int error) {
  return error == JERR_SOF_UNSUPPORTED || error == JERR_BAD_PRECISION ||
         error == JERR_ARITH_NOTIMPL || error == JERR_CONVERSION_NOTIMPL;
}

// libjpeg leaves by longjmp, which runs no destructors: the functions that call it own nothing.
class JpegReader {
 public:
  JpegReader(absl::string_view bytes, absl::string_view name) : name_(name) {
    jpeg_.err = jpeg_std_error(&errors_);
    jpeg_.client_data = this;
    errors_.error_exit = &OnError;
    errors_.emit_message = &OnMessage;
    progress_.progress_monitor = &OnProgress;
    ready_ = Create(bytes);
  }
  ~JpegReader() { jpeg_destroy_decompress(&jpeg_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  // The shape; errors as DecodeJpeg.
  absl::StatusOr<ImageShape> ReadHeader() {
    if (!ready_ || !ReadUpToScan()) return Failed();
    if (jpeg_.jpeg_color_space == JCS_CMYK || jpeg_.jpeg_color_space == JCS_YCCK) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, " is a CMYK JPEG for printing; convert it to RGB or greyscale"));
    }
    const ImageShape shape{jpeg_.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3, jpeg_.image_height,
                           jpeg_.image_width};
    DISTILLERY_RETURN_IF_ERROR(CheckImageSize(shape.height, shape.width, name_));
    return shape;
  }
  // To output [height, width, channels]. REQUIRES: ReadHeader gave `shape`.
  absl::Status ReadPixels(const ImageShape& shape, uint8_t* output) {
    return ReadRows(shape.channels, output) ? absl::OkStatus() : Failed();
  }

 private:
  bool Create(absl::string_view bytes) {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    return true;
  }
  bool ReadUpToScan() {
    if (setjmp(jump_) != 0) return false;
    return jpeg_read_header(&jpeg_, /*require_image=*/TRUE) == JPEG_HEADER_OK;
  }
  bool ReadRows(int64_t channels, uint8_t* output) {
    if (setjmp(jump_) != 0) return false;
    jpeg_.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_.dct_method = JDCT_ISLOW;
    (void)jpeg_start_decompress(&jpeg_);
    const int64_t row_bytes = int64_t{jpeg_.output_width} * channels;
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW row = output + jpeg_.output_scanline * row_bytes;
      (void)jpeg_read_scanlines(&jpeg_, &row, 1);
    }
    (void)jpeg_finish_decompress(&jpeg_);
    return true;
  }
  absl::Status Failed() const {
    if (IsOtherKind(errors_.msg_code)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name_, " is of a kind that is not read (JPEG: ", message_,
                       "); save it as a baseline or progressive JPEG of 8 bits"));
    }
    return absl::DataLossError(
        absl::StrCat(name_, " is damaged or cut short (JPEG: ", message_, ")"));
  }

  static JpegReader* Of(j_common_ptr jpeg) { return static_cast<JpegReader*>(jpeg->client_data); }
  static void OnError(j_common_ptr jpeg) {
    (*jpeg->err->format_message)(jpeg, Of(jpeg)->message_);
    longjmp(Of(jpeg)->jump_, 1);
  }
  // Warnings have the level -1, the rest is chatter.
  static void OnMessage(j_common_ptr jpeg, int level) {
    if (level < 0 && !IsHarmless(jpeg->err->msg_code)) OnError(jpeg);
  }
  static void OnProgress(j_common_ptr jpeg) {
    if (jpeg->is_decompressor == 0 ||
        reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMaxScans) {
      return;
    }
    constexpr char kTooMany[] = "more than 500 scans";
    std::copy(std::begin(kTooMany), std::end(kTooMany), Of(jpeg)->message_);
    longjmp(Of(jpeg)->jump_, 1);
  }

  const absl::string_view name_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = {};
  bool ready_ = false;
};

}  // namespace

absl::StatusOr<ImageShape> JpegShape(absl::string_view start, absl::string_view name) {
  return JpegReader(start, name).ReadHeader();
}

absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, absl::string_view name) {
  JpegReader reader(bytes, name);
  DISTILLERY_ASSIGN_OR_RETURN(const ImageShape shape, reader.ReadHeader());
  std::vector<uint8_t> values(static_cast<size_t>(shape.size()));
  DISTILLERY_RETURN_IF_ERROR(reader.ReadPixels(shape, values.data()));
  return FromInterleaved(shape, values.data());
}

}  // namespace distillery
