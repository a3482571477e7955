#include "common/data/bmp_file.h"

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr size_t kBmpFileHeaderBytes = 14;
// Of BITMAPINFOHEADER; later versions are longer and begin alike.
constexpr uint32_t kBmpInfoBytes = 40;
constexpr uint32_t kMaxBmpInfoBytes = 124;

using BmpColour = std::array<uint8_t, 3>;

struct BmpHeader {
  ImageShape shape;
  bool top_down = false;
  int64_t bytes_per_pixel = 0;
  // Where the pixels begin.
  uint64_t offset = 0;
  std::vector<BmpColour> palette;
};

uint32_t LittleEndianBmp(absl::string_view bytes, size_t at, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i-- > 0;) value = (value << 8) | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

absl::Status DamagedBmp(absl::string_view name, absl::string_view why) {
  return absl::DataLossError(absl::StrCat(name, " is damaged or cut short (BMP: ", why, ")"));
}

absl::Status BmpNotRead(absl::string_view name, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is a BMP picture ", what,
                   "; those of 8, 24 and 32 bits without compression are read: save it as a PNG"));
}

// Sets the palette of a file of 8 bits, and 1 channel if it holds greys only.
absl::Status ReadBmpPalette(absl::string_view bytes, uint32_t info_bytes, absl::string_view name,
                            BmpHeader* header) {
  const uint32_t used = LittleEndianBmp(bytes, kBmpFileHeaderBytes + 32, 4);
  const size_t count = used == 0 ? 256 : used;
  if (count > 256) return DamagedBmp(name, absl::StrCat("a palette of ", count, " colours"));
  const size_t begin = kBmpFileHeaderBytes + info_bytes;
  if (begin + 4 * count > header->offset) return DamagedBmp(name, "pixels within the palette");
  if (bytes.size() < begin + 4 * count) return DamagedBmp(name, "the palette");
  bool grey = true;
  for (size_t i = 0; i < count; ++i) {
    const auto* const entry = reinterpret_cast<const uint8_t*>(&bytes[begin + 4 * i]);
    header->palette.push_back({entry[2], entry[1], entry[0]});
    grey = grey && entry[0] == entry[1] && entry[1] == entry[2];
  }
  if (grey) header->shape.channels = 1;
  return absl::OkStatus();
}

absl::StatusOr<BmpHeader> ReadBmpHeader(absl::string_view bytes, absl::string_view name) {
  if (bytes.size() < kBmpFileHeaderBytes + 4) return DamagedBmp(name, "the header");
  const uint32_t info_bytes = LittleEndianBmp(bytes, kBmpFileHeaderBytes, 4);
  if (info_bytes < kBmpInfoBytes || info_bytes > kMaxBmpInfoBytes) {
    return BmpNotRead(name, absl::StrCat("with a header of ", info_bytes, " bytes"));
  }
  if (bytes.size() < kBmpFileHeaderBytes + info_bytes) return DamagedBmp(name, "the header");
  const auto width = static_cast<int32_t>(LittleEndianBmp(bytes, 18, 4));
  const auto height = static_cast<int32_t>(LittleEndianBmp(bytes, 22, 4));
  if (LittleEndianBmp(bytes, 26, 2) != 1) return DamagedBmp(name, "the number of planes is not 1");
  const uint32_t bits = LittleEndianBmp(bytes, 28, 2);
  if (const uint32_t compression = LittleEndianBmp(bytes, 30, 4); compression != 0) {
    return BmpNotRead(name, absl::StrCat("with compression or bit fields (", compression, ")"));
  }
  if (bits != 8 && bits != 24 && bits != 32)
    return BmpNotRead(name, absl::StrCat("of ", bits, " bits"));
  BmpHeader header;
  header.top_down = height < 0;
  header.shape = {3, header.top_down ? -int64_t{height} : int64_t{height}, width};
  header.bytes_per_pixel = bits / 8;
  header.offset = LittleEndianBmp(bytes, 10, 4);
  DISTILLERY_RETURN_IF_ERROR(CheckImageSize(header.shape.height, header.shape.width, name));
  if (header.offset < kBmpFileHeaderBytes + info_bytes)
    return DamagedBmp(name, "pixels within the header");
  if (bits == 8) DISTILLERY_RETURN_IF_ERROR(ReadBmpPalette(bytes, info_bytes, name, &header));
  return header;
}

}  // namespace

absl::StatusOr<ImageShape> BmpShape(absl::string_view start, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const BmpHeader header, ReadBmpHeader(start, name));
  return header.shape;
}

absl::StatusOr<Image> DecodeBmp(absl::string_view bytes, absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(const BmpHeader header, ReadBmpHeader(bytes, name));
  const ImageShape shape = header.shape;
  // Rows are filled up to four bytes.
  const int64_t row_bytes = (shape.width * header.bytes_per_pixel + 3) / 4 * 4;
  const auto pixel_bytes = static_cast<uint64_t>(row_bytes * shape.height);
  if (bytes.size() < header.offset || bytes.size() - header.offset < pixel_bytes) {
    return DamagedBmp(name, absl::StrCat("there are fewer than ", pixel_bytes, " bytes of pixels"));
  }
  Image image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()))};
  const int64_t plane = shape.height * shape.width;
  const auto* const pixels = reinterpret_cast<const uint8_t*>(bytes.data()) + header.offset;
  for (int64_t y = 0; y < shape.height; ++y) {
    const uint8_t* pixel = pixels + (header.top_down ? y : shape.height - 1 - y) * row_bytes;
    for (int64_t x = 0; x < shape.width; ++x, pixel += header.bytes_per_pixel) {
      BmpColour colour = {pixel[0], 0, 0};
      if (header.bytes_per_pixel > 1) {
        colour = {pixel[2], pixel[1], pixel[0]};
      } else if (pixel[0] < header.palette.size()) {
        colour = header.palette[pixel[0]];
      } else {
        return DamagedBmp(name, absl::StrCat("colour ", pixel[0], " is not in the palette"));
      }
      for (int64_t channel = 0; channel < shape.channels; ++channel) {
        image.pixels[channel * plane + y * shape.width + x] = colour[channel];
      }
    }
  }
  return image;
}

}  // namespace distillery
