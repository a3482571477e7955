// The IDX format of MNIST (http://yann.lecun.com/exdb/mnist/): big-endian magic 0x0000TTDD (TT:
// type, 08 unsigned byte; DD: dimensions), DD 32-bit sizes, then the elements.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/data/samples.h"

namespace distillery {

// Parses an IDX file of unsigned bytes with `dimensions` sizes. Returns the sizes, and sets
// `elements` to the bytes after the header. DATA_LOSS, naming `name` and what it is instead, if it
// is not such a file (of another type, byte order or number of dimensions, compressed ...), or its
// length differs from what its header says.
absl::StatusOr<std::vector<int64_t>> ParseIdx(absl::string_view bytes, int dimensions,
                                              absl::string_view name, absl::string_view* elements);

// The part of ParseIdx that looks at sizes alone, for a file of `file_bytes` of which `start` are
// the first: all, or at least those of the header.
absl::StatusOr<std::vector<int64_t>> ParseIdxHeader(absl::string_view start, int64_t file_bytes,
                                                    int dimensions, absl::string_view name);

// Whether the folder itself holds MNIST's training images, plain or .gz.
bool HoldsIdxFiles(const std::string& folder);
// Whether the folder is one for ReadIdxFolder.
bool HoldsIdx(const std::string& folder);

// Reads four files like MNIST's, plain or .gz, from `folder`, or from raw, MNIST/raw,
// FashionMNIST/raw, KMNIST/raw or EMNIST/raw in it, as torchvision lays them out. Their names are
// "train-images-idx3-ubyte", also with a dot ("train-images.idx3-ubyte"), and "t10k" or "test" for
// the other split; all may begin with one more word, as EMNIST's do ("emnist-letters-"). EMNIST's
// mapping, beside them, gives classes their names, and the number of the first class. The images
// are read on demand where both of their files are plain, else held in memory. NOT_FOUND names the
// missing file; DATA_LOSS the damaged one; INVALID_ARGUMENT: several such sets are there, or a
// label that the mapping has not.
absl::StatusOr<StoredSamples> ReadIdxFolder(const std::string& name, const std::string& folder);

}  // namespace distillery
