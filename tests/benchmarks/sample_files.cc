#include "tests/benchmarks/sample_files.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr int64_t kSide = 28;
constexpr int64_t kIdxClasses = 10;

void AppendBytes(uint32_t value, bool big_endian, std::string* output) {
  for (int i = 0; i < 4; ++i) {
    output->push_back(static_cast<char>(value >> (8 * (big_endian ? 3 - i : i))));
  }
}

std::string IdxHeader(const std::vector<int64_t>& sizes) {
  std::string header;
  AppendBytes(0x0800U + static_cast<uint32_t>(sizes.size()), /*big_endian=*/true, &header);
  for (const int64_t size : sizes) {
    AppendBytes(static_cast<uint32_t>(size), /*big_endian=*/true, &header);
  }
  return header;
}

absl::Status WriteIdxPair(const std::string& prefix, int64_t count, RandomStream& random) {
  std::string images = IdxHeader({count, kSide, kSide});
  for (int64_t i = 0; i < count * kSide * kSide; ++i) {
    images.push_back(static_cast<char>(random.Below(256)));
  }
  std::string labels = IdxHeader({count});
  for (int64_t i = 0; i < count; ++i) labels.push_back(static_cast<char>(i % kIdxClasses));
  DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(prefix + "-images-idx3-ubyte", images));
  return WriteFileDurably(prefix + "-labels-idx1-ubyte", labels);
}

std::string Npy(const char* type, const std::vector<int64_t>& shape, const std::string& elements) {
  std::string header = absl::StrCat("{'descr': '", type, "', 'fortran_order': False, 'shape': (",
                                    absl::StrJoin(shape, ", "), ",), }");
  // Magic, version and length take 10 bytes; the header ends at a multiple of 64.
  while ((10 + header.size()) % 64 != 63) header.push_back(' ');
  header.push_back('\n');
  std::string file = "\x93NUMPY\x01";
  file.push_back('\0');
  file.push_back(static_cast<char>(header.size() & 0xff));
  file.push_back(static_cast<char>(header.size() >> 8));
  return absl::StrCat(file, header, elements);
}

absl::Status WriteNpyPair(const std::string& prefix, const std::vector<int64_t>& labels,
                          const ImageShape& shape) {
  const auto count = static_cast<int64_t>(labels.size());
  std::string elements;
  for (const int64_t label : labels) {
    AppendBytes(static_cast<uint32_t>(label), /*big_endian=*/false, &elements);
  }
  // A linear congruential generator: images of 224 x 224 come to a hundred million pixels.
  std::string pixels(labels.size() * static_cast<size_t>(shape.size()), '\0');
  uint32_t state = 1;
  for (char& pixel : pixels) {
    state = state * 1664525U + 1013904223U;
    pixel = static_cast<char>(state >> 24);
  }
  DISTILLERY_RETURN_IF_ERROR(
      WriteFileDurably(prefix + "_images.npy",
                       Npy("|u1", {count, shape.channels, shape.height, shape.width}, pixels)));
  return WriteFileDurably(prefix + "_labels.npy", Npy("<i4", {count}, elements));
}

}  // namespace

absl::Status WriteIdxFolder(const std::string& folder, int64_t count) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder));
  RandomStream random(1, "benchmark");
  DISTILLERY_RETURN_IF_ERROR(WriteIdxPair(folder + "/train", count, random));
  return WriteIdxPair(folder + "/t10k", 16, random);
}

absl::Status WriteNpyFolder(const std::string& folder, int64_t count, int64_t classes,
                            const ImageShape& shape) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder));
  std::vector<int64_t> labels(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) labels[static_cast<size_t>(i)] = i % classes;
  DISTILLERY_RETURN_IF_ERROR(WriteNpyPair(folder + "/train", labels, shape));
  // The largest label tells the number of classes.
  return WriteNpyPair(folder + "/test", {classes - 1}, shape);
}

}  // namespace distillery
