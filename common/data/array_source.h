// Where the arrays of a data set saved from NumPy lie: in files of a folder, or in two archives.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/input_file.h"
#include "common/data/npy.h"

namespace distillery {

// The array that is pictures.
inline constexpr char kImages[] = "images";
inline constexpr absl::string_view kNpyEnding = ".npy";

// "[2, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

// One array, read from its start to its end. Not thread-safe.
class ArrayInput {
 public:
  ArrayInput(std::string place, NpyHeader header)
      : place_(std::move(place)), header_(std::move(header)) {}
  virtual ~ArrayInput() = default;

  // For messages: "train_labels.npy", "train.npz: labels".
  const std::string& place() const { return place_; }
  const NpyHeader& header() const { return header_; }
  // Its first size. REQUIRES: it has one.
  int64_t rows() const { return header_.shape[0]; }

  // Calls `visit` with each row's number and bytes. DATA_LOSS for what cannot be read, naming the
  // place; the first error of `visit`. Call once.
  absl::Status ForEachRow(
      const std::function<absl::Status(int64_t row, absl::string_view bytes)>& visit);
  // The file, if it lies in one as it is. Call last.
  virtual std::optional<InputFile> TakeFile() { return std::nullopt; }

 protected:
  // The next bytes of the elements.
  virtual absl::Status Read(int64_t bytes, char* output) = 0;
  // Whether what was read is sound, after the last Read.
  virtual absl::Status Finish() { return absl::OkStatus(); }

 private:
  const std::string place_;
  const NpyHeader header_;
};

class ArraySource {
 public:
  virtual ~ArraySource() = default;

  // Sorted names of the arrays of "train" or "test": "inputs", "labels", "mask".
  virtual absl::StatusOr<std::vector<std::string>> Names(const std::string& split) const = 0;
  // What the array's place is called, whether it is there or not.
  virtual std::string Place(const std::string& split, const std::string& name) const = 0;
  // NOT_FOUND, naming the place, for an array that is not there; errors of ParseNpyHeader; an array
  // without sizes is INVALID_ARGUMENT.
  virtual absl::StatusOr<std::unique_ptr<ArrayInput>> Open(
      const std::string& split, const std::string& name,
      const std::vector<std::string>& wanted_types) const = 0;
};

// INVALID_ARGUMENT unless there are samples, of less than kMaxSampleBytes each as they lie there;
// RESOURCE_EXHAUSTED for more than kMaxSamples.
absl::Status CheckRows(const NpyHeader& header, absl::string_view place);

}  // namespace distillery
