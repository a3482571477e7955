// The NPY format of NumPy, versions 1.0 to 3.0 (numpy/lib/format.py): "\x93NUMPY", two version
// bytes, the header's length (2 bytes in version 1, else 4, little-endian), the header, the
// elements. The header is a Python dictionary: {'descr': '|u1', 'fortran_order': False, 'shape':
// (3, 4), }
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

// What the header says.
struct NpyHeader {
  // "|u1": byte order ('<' little, '|' none), kind, bytes per element.
  std::string type;
  std::vector<int64_t> shape;
  // Where the first element lies in the file.
  int64_t offset = 0;

  int64_t element_bytes() const { return type.back() - '0'; }
};

// The bytes that a header may take, at most.
inline constexpr int64_t kMaxNpyHeaderBytes = 65536 + 12;

// An array in C order; `elements` points into the bytes that were parsed.
struct NpyArray {
  // "|u1": byte order ('<' little, '|' none), kind, bytes per element.
  std::string type;
  std::vector<int64_t> shape;
  absl::string_view elements;

  // Element `index` of a type of whole numbers of at most 8 bytes, '<' or '|'.
  // REQUIRES: 0 <= index < product of the shape.
  int64_t Integer(int64_t index) const;
};

// The header of a file of `file_bytes` of which `start` are the first: all, or at least
// kMaxNpyHeaderBytes. Errors as ParseNpy.
absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view start, int64_t file_bytes,
                                         const std::vector<std::string>& wanted,
                                         absl::string_view name);

// `wanted` are the types to take, with at most 9 bytes per element; they are named in messages.
// INVALID_ARGUMENT, naming `name`: another type, Fortran order, another version. DATA_LOSS: no NPY
// file, a damaged header, a size of 0, or a length that differs from what the header says.
absl::StatusOr<NpyArray> ParseNpy(absl::string_view bytes, const std::vector<std::string>& wanted,
                                  absl::string_view name);

}  // namespace distillery
