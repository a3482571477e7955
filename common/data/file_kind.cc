#include "common/data/file_kind.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace distillery {
namespace {

constexpr absl::string_view kGzipMagic = "\x1F\x8B";

struct Kind {
  // Where the magic lies in the file.
  size_t offset;
  absl::string_view magic;
  absl::string_view what;
};

// Views with a length hold zeros.
const Kind kKinds[] = {
    {0, "\x89PNG\r\n\x1a\n", "a PNG picture"},
    {0, "\xFF\xD8\xFF", "a JPEG picture"},
    {0, "GIF8", "a GIF picture"},
    {8, "WEBP", "a WebP picture"},
    {4, "ftypavif", "an AVIF picture"},
    {4, "ftyphei", "an HEIC picture"},
    {4, "ftypmif1", "an HEIC picture"},
    {0, "II*", "a TIFF picture"},
    {0, absl::string_view("MM\0*", 4), "a TIFF picture"},
    {0, "BM", "a BMP picture"},
    {0, "8BPS", "a Photoshop picture"},
    {0, absl::string_view("\0\0\0\x0CjP  ", 8), "a JPEG 2000 picture"},
    {0, "P1", "a PBM picture of text"},
    {0, "P2", "a PGM picture of text"},
    {0, "P3", "a PPM picture of text"},
    {0, "P4", "a PBM picture"},
    {0, "\x93NUMPY", "an NPY file"},
    {0, absl::string_view("\0\0\x08\x03", 4), "an IDX file"},
    {0, absl::string_view("\0\0\x08\x01", 4), "an IDX file"},
    {0, kGzipMagic, "gzip-compressed data"},
    {0, "PK\x03\x04", "a ZIP archive"},
    {0, "BZh", "bzip2-compressed data"},
    {0,
     "\xFD"
     "7zXZ",
     "xz-compressed data"},
    {0, "\x28\xB5\x2F\xFD", "zstd-compressed data"},
    {0, "\x89HDF", "an HDF5 file"},
    {0, "\x80\x02", "a Python pickle"},
    {0, "\x80\x03", "a Python pickle"},
    {0, "\x80\x04", "a Python pickle"},
    {0, "%PDF", "a PDF document"},
};

}  // namespace

absl::string_view FileKind(absl::string_view start) {
  for (const Kind& kind : kKinds) {
    if (start.size() > kind.offset && absl::StartsWith(start.substr(kind.offset), kind.magic)) {
      return kind.what;
    }
  }
  const absl::string_view text = absl::StripLeadingAsciiWhitespace(start);
  for (const char* const page : {"<!doctype html", "<html", "<head"}) {
    if (absl::StartsWithIgnoreCase(text, page)) return "an HTML page";
  }
  if (absl::StartsWith(text, "<svg") || absl::StartsWith(text, "<?xml")) return "XML or SVG text";
  if (absl::StartsWith(text, "version https://git-lfs")) return "a Git LFS pointer";
  return "";
}

bool IsGzip(absl::string_view start) { return absl::StartsWith(start, kGzipMagic); }

}  // namespace distillery
