// A strict reader of Python's pickles (docs.python.org, "pickletools"), for data that comes in
// them: None, booleans, whole numbers, texts and bytes, lists, tuples, dictionaries and NumPy
// arrays. It runs nothing: any other name that a pickle wants to call is refused.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

struct PickleValue {
  enum class Kind { kNone, kNumber, kText, kList, kTuple, kDictionary, kName, kType, kArray };
  Kind kind = Kind::kNone;
  // Of numbers and booleans.
  int64_t number = 0;
  // Of texts and bytes; the module and the name of a name, "numpy.ndarray"; the name of a type,
  // "u1"; the elements of an array.
  absl::string_view text;
  // Of lists and tuples; of a dictionary keys and values in turn; of an array the shape's numbers.
  std::vector<const PickleValue*> items;
  // Of an array: "u1", and whether it is in Fortran order.
  absl::string_view type;
  bool fortran = false;

  // The value of the key in a dictionary, or nullptr.
  const PickleValue* Find(absl::string_view key) const;
};

class Pickle {
 public:
  // Reads one pickle, protocol 2 to 5, which must end where the bytes end. The bytes must outlive
  // the result. Messages name `name` and the byte.
  //   INVALID_ARGUMENT   another protocol, or what is read from no pickle here
  //   DATA_LOSS          damaged or cut short
  static absl::StatusOr<Pickle> Parse(absl::string_view bytes, absl::string_view name);

  const PickleValue& root() const { return *root_; }

 private:
  friend class PickleReader;
  Pickle() = default;
  std::deque<PickleValue> values_;
  // Names that were put together.
  std::deque<std::string> names_;
  const PickleValue* root_ = nullptr;
};

}  // namespace distillery
