// Image files for tests, not made by the code under test.
#pragma once

#include <gtest/gtest.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/data/image.h"

namespace distillery {

inline std::string BigEndianBytes(uint32_t value) {
  std::string bytes;
  for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

// A chunk of a PNG file: length, type, content, CRC-32 of type and content.
inline std::string PngChunk(const std::string& type, const std::string& content) {
  const std::string body = type + content;
  const auto crc =
      crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return BigEndianBytes(static_cast<uint32_t>(content.size())) + body +
         BigEndianBytes(static_cast<uint32_t>(crc));
}

enum PngColour : char { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6 };

// A PNG file. `rows` are the scan lines, each with its filter byte (0) in front; `extra` are chunks
// between header and pixels.
inline std::string PngBytes(uint32_t width, uint32_t height, int bit_depth, PngColour colour,
                            const std::string& rows, const std::string& extra = "") {
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  EXPECT_EQ(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(rows.data()), rows.size()),
            Z_OK);
  packed.resize(size);
  const std::string header = BigEndianBytes(width) + BigEndianBytes(height) +
                             std::string{static_cast<char>(bit_depth), colour, '\0', '\0', '\0'};
  return "\x89PNG\r\n\x1a\n" + PngChunk("IHDR", header) + extra + PngChunk("IDAT", packed) +
         PngChunk("IEND", "");
}

// A JPEG file of the best quality, without subsampling; 1 or 3 channels.
inline std::string JpegBytes(const Image& image, int flags = 0) {
  const tjhandle compressor = tjInitCompress();
  const std::vector<uint8_t> values = ToInterleaved(image);
  const bool grey = image.shape.channels == 1;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg-turbo's type
  EXPECT_EQ(tjCompress2(compressor, values.data(), static_cast<int>(image.shape.width), 0,
                        static_cast<int>(image.shape.height), grey ? TJPF_GRAY : TJPF_RGB, &bytes,
                        &size, grey ? TJSAMP_GRAY : TJSAMP_444, 100, flags),
            0);
  std::string result(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(compressor);
  return result;
}

// A JPEG file of 8 x 8 pixels for printing.
inline std::string CmykJpegBytes() {
  const std::vector<uint8_t> values(4 * 64, 77);
  const tjhandle compressor = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;  // NOLINT(google-runtime-int): libjpeg-turbo's type
  EXPECT_EQ(
      tjCompress2(compressor, values.data(), 8, 0, 8, TJPF_CMYK, &bytes, &size, TJSAMP_444, 90, 0),
      0);
  std::string result(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(compressor);
  return result;
}

// A PGM (1 channel) or PPM file.
inline std::string PnmBytes(const Image& image) {
  const std::vector<uint8_t> values = ToInterleaved(image);
  return (image.shape.channels == 1 ? "P5\n" : "P6\n") + std::to_string(image.shape.width) + " " +
         std::to_string(image.shape.height) + "\n255\n" + std::string(values.begin(), values.end());
}

// Every pixel of every channel alike.
inline Image PlainImage(const ImageShape& shape, uint8_t value) {
  return {shape, std::vector<uint8_t>(static_cast<size_t>(shape.size()), value)};
}

}  // namespace distillery
