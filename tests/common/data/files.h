// Data files for tests: IDX and NPY bytes, and gzip.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/data/dataset.h"
#include "common/data/samples.h"
#include "tests/common/status_matchers.h"

namespace distillery {

// An IDX file of unsigned bytes: magic 00 00 08 DD, sizes big-endian, elements.
inline std::string IdxBytes(const std::vector<uint32_t>& sizes, const std::string& elements) {
  std::string bytes = {'\0', '\0', '\x08', static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) {
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(size >> shift));
  }
  return bytes + elements;
}

// An NPY file of version 1.0: `type` as in "|u1", `shape` as in "3, 1, 2".
inline std::string NpyBytes(const std::string& type, const std::string& shape,
                            const std::string& elements) {
  const std::string header =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }\n";
  std::string bytes = "\x93NUMPY";
  for (const size_t byte : {size_t{1}, size_t{0}, header.size() % 256, header.size() / 256}) {
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes + header + elements;
}

inline std::string Gzip(const std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string input = bytes;
  std::string output(deflateBound(&stream, input.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(output.data());
  stream.avail_out = static_cast<uInt>(output.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  output.resize(stream.total_out);
  deflateEnd(&stream);
  return output;
}

// Three training images and one test image of 1 x 2 pixels in `folder`.
inline void WriteIdxFolder(const std::string& folder) {
  ASSERT_THAT(MakeFolders(folder), IsOk());
  const auto write = [&](const char* name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(folder + "/" + name, bytes), IsOk());
  };
  write("train-images-idx3-ubyte", IdxBytes({3, 1, 2}, std::string("\x00\x01\x10\x11\x20\xFF", 6)));
  write("train-labels-idx1-ubyte", IdxBytes({3}, std::string("\x00\x02\x01", 3)));
  write("t10k-images-idx3-ubyte", IdxBytes({1, 1, 2}, std::string("\x30\x31", 2)));
  write("t10k-labels-idx1-ubyte", IdxBytes({1}, std::string("\x02", 1)));
}

// Two training images and one test image of 1 x 2 pixels in `folder`.
inline void WriteNpyFolder(const std::string& folder) {
  ASSERT_THAT(MakeFolders(folder), IsOk());
  const auto write = [&](const char* name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(folder + "/" + name, bytes), IsOk());
  };
  write("train_images.npy", NpyBytes("|u1", "2, 1, 2", "abcd"));
  write("train_labels.npy", NpyBytes("|u1", "2,", std::string("\x00\x02", 2)));
  write("test_images.npy", NpyBytes("|u1", "1, 1, 2", "ef"));
  write("test_labels.npy", NpyBytes("|u1", "1,", "\x01"));
}

// The stored pixels of one row.
inline std::vector<uint8_t> PixelsOf(const Dataset& dataset, int64_t row) {
  std::vector<uint8_t> pixels(static_cast<size_t>(dataset.shape().size()));
  EXPECT_THAT(dataset.ReadRecord(row, pixels.data()), IsOk());
  return pixels;
}

// The pixels of all samples in stored order, wherever they lie.
inline std::vector<uint8_t> AllPixels(const StoredSamples& samples) {
  std::vector<uint8_t> pixels(static_cast<size_t>(samples.size() * samples.shape().size()));
  for (int64_t i = 0; i < samples.size(); ++i) {
    EXPECT_THAT(ReadRecord(samples, i, &pixels[i * samples.shape().size()]), IsOk());
  }
  return pixels;
}

// `per_class` samples of 1 x 1 pixel in each of `classes`, stored class by class; all for training.
inline StoredSamples SortedByClass(int classes, int per_class) {
  StoredSamples samples;
  samples.name = "sorted";
  samples.spec = SampleSpec::Pictures({1, 1, 1}, 255);
  for (int c = 0; c < classes; ++c) {
    samples.class_names.push_back(std::to_string(c));
    for (int i = 0; i < per_class; ++i) {
      samples.train.push_back(samples.size());
      samples.records.push_back(static_cast<uint8_t>(c));
      samples.labels.push_back(c);
    }
  }
  return samples;
}

}  // namespace distillery
