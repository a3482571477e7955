#include "common/data/bmp_file.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr size_t kFileHeaderBytes = 14;
// Of BITMAPINFOHEADER; later versions are longer and begin alike.
constexpr uint32_t kInfoHeaderBytes = 40;
constexpr uint32_t kMaxInfoHeaderBytes = 124;

using Colour = std::array<uint8_t, 3>;

struct Header {
  ImageShape shape;
  bool top_down = false;
  int64_t bytes_per_pixel = 0;
  // Where the pixels begin.
  uint64_t offset = 0;
  std::vector<Colour> palette;
};

uint32_t Little(absl::string_view bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i-- > 0;) value = (value << 8) | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

absl::Status Damaged(absl::string_view name, absl::string_view why) {
  return absl::DataLossError(absl::StrCat(name, " is damaged or cut short (BMP: ", why, ")"));
}

absl::Status NotRead(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is a BMP picture ", what,
                   "; those of 8, 24 and 32 bits without compression are read: save it as a PNG"));
}

// Sets the palette of a file of 8 bits, and 1 channel if it holds greys only.
absl::Status ReadPalette(absl::string_view bytes, uint32_t info_bytes, absl::string_view name,
                         Header* header) {
  const uint32_t used = Little(bytes, kFileHeaderBytes + 32, 4);
  const size_t count = used == 0 ? 256 : used;
  if (count > 256) return Damaged(name, absl::StrCat("a palette of ", count, " colours"));
  const size_t begin = kFileHeaderBytes + info_bytes;
  if (begin + 4 * count > header->offset) return Damaged(name, "pixels within the palette");
  if (bytes.size() < begin + 4 * count) return Damaged(name, "the palette");
  bool grey = true;
  for (size_t i = 0; i < count; ++i) {
    const auto* const entry = reinterpret_cast<const uint8_t*>(&bytes[begin + 4 * i]);
    header->palette.push_back({entry[2], entry[1], entry[0]});
    grey = grey && entry[0] == entry[1] && entry[1] == entry[2];
  }
  if (grey) header->shape.channels = 1;
  return absl::OkStatus();
}

absl::StatusOr<Header> ReadHeader(absl::string_view bytes, absl::string_view name) {
  if (bytes.size() < kFileHeaderBytes + 4) return Damaged(name, "the header");
  const uint32_t info_bytes = Little(bytes, kFileHeaderBytes, 4);
  if (info_bytes < kInfoHeaderBytes || info_bytes > kMaxInfoHeaderBytes) {
    return NotRead(name, absl::StrCat("with a header of ", info_bytes, " bytes"));
  }
  if (bytes.size() < kFileHeaderBytes + info_bytes) return Damaged(name, "the header");
  const auto width = static_cast<int32_t>(Little(bytes, 18, 4));
  const auto height = static_cast<int32_t>(Little(bytes, 22, 4));
  if (Little(bytes, 26, 2) != 1) return Damaged(name, "the number of planes is not 1");
  const uint32_t bits = Little(bytes, 28, 2);
  if (const uint32_t compression = Little(bytes, 30, 4); compression != 0) {
    return NotRead(name, absl::StrCat("with compression or bit fields (", compression, ")"));
  }
  if (bits != 8 && bits != 24 && bits != 32)
    return NotRead(name, absl::StrCat("of ", bits, " bits"));
  Header header;
  header.top_down = height < 0;
  header.shape = {3, header.top_down ? -int64_t{height} : int64_t{height}, width};
  header.bytes_per_pixel = bits / 8;
  header.offset = Little(bytes, 10, 4);
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(header.shape.height, header.shape.width, name));
  if (header.offset < kFileHeaderBytes + info_bytes)
    return Damaged(name, "pixels within the header");
  if (bits == 8) DISTILLERY_RETURN_IF_ERROR(ReadPalette(bytes, info_bytes, name, &header));
  return header;
}

}  // namespace

absl::StatusOr<ImageShape> BmpShape(absl::string_view start, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const Header header, ReadHeader(start, name));
  return header.shape;
}

absl::StatusOr<Image> DecodeBmp(absl::string_view bytes, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const Header header, ReadHeader(bytes, name));
  const ImageShape shape = header.shape;
  // Rows are filled up to four bytes.
  const int64_t row_bytes = (shape.width * header.bytes_per_pixel + 3) / 4 * 4;
  const auto pixel_bytes = static_cast<uint64_t>(row_bytes * shape.height);
  if (bytes.size() < header.offset || bytes.size() - header.offset < pixel_bytes) {
    return Damaged(name, absl::StrCat("there are fewer than ", pixel_bytes, " bytes of pixels"));
  }
  Image image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()))};
  const int64_t plane = shape.height * shape.width;
  const auto* const pixels = reinterpret_cast<const uint8_t*>(bytes.data()) + header.offset;
  for (int64_t y = 0; y < shape.height; ++y) {
    const uint8_t* pixel = pixels + (header.top_down ? y : shape.height - 1 - y) * row_bytes;
    for (int64_t x = 0; x < shape.width; ++x, pixel += header.bytes_per_pixel) {
      Colour colour = {pixel[0], 0, 0};
      if (header.bytes_per_pixel > 1) {
        colour = {pixel[2], pixel[1], pixel[0]};
      } else if (pixel[0] < header.palette.size()) {
        colour = header.palette[pixel[0]];
      } else {
        return Damaged(name, absl::StrCat("colour ", pixel[0], " is not in the palette"));
      }
      for (int64_t channel = 0; channel < shape.channels; ++channel) {
        image.pixels[channel * plane + y * shape.width + x] = colour[channel];
      }
    }
  }
  return image;
}

}  // namespace distillery
