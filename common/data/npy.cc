#include "common/data/npy.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/shape.h"
#include "common/base/status_macros.h"
#include "common/data/file_kind.h"

namespace distillery {
namespace {

constexpr size_t kMaxHeaderBytes = 65536;
// Far beyond any file, and far from overflow.
constexpr int64_t kMaxBytes = int64_t{1} << 60;

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i)
    value = (value << 8) | static_cast<uint8_t>(bytes[i - 1]);
  return value;
}

// Reads the dictionary: the three keys in any order, each once, and nothing else.
class HeaderReader {
 public:
  explicit HeaderReader(absl::string_view text) : rest_(text) {}

  bool Read() {
    if (!Take("{")) return false;
    while (!Take("}")) {
      std::string key;
      if (!TakeText(&key) || !Take(":")) return false;
      if (key == "descr" && !has_type_) {
        has_type_ = TakeText(&type);
        if (!has_type_) return false;
      } else if (key == "fortran_order" && !has_order_) {
        fortran_order = Take("True");
        if (!fortran_order && !Take("False")) return false;
        has_order_ = true;
      } else if (key == "shape" && !has_shape_) {
        has_shape_ = TakeTuple();
        if (!has_shape_) return false;
      } else {
        return false;
      }
      if (!Take(",") && !absl::StartsWith(rest_, "}")) return false;
    }
    SkipSpace();
    return rest_.empty() && has_type_ && has_order_ && has_shape_;
  }

  std::string type;
  bool fortran_order = false;
  std::vector<int64_t> shape;

 private:
  void SkipSpace() { rest_ = absl::StripLeadingAsciiWhitespace(rest_); }
  // Takes `word` and the white space around it, if it is next.
  bool Take(absl::string_view word) {
    SkipSpace();
    const bool taken = absl::ConsumePrefix(&rest_, word);
    SkipSpace();
    return taken;
  }
  bool TakeText(std::string* text) {
    for (const char* const quote : {"'", "\""}) {
      if (!absl::ConsumePrefix(&rest_, quote)) continue;
      const size_t end = rest_.find(quote);
      if (end == absl::string_view::npos) return false;
      *text = std::string(rest_.substr(0, end));
      rest_.remove_prefix(end + 1);
      return text->find('\\') == std::string::npos;
    }
    return false;
  }
  bool TakeTuple() {
    if (!Take("(")) return false;
    bool comma = true;
    while (!Take(")")) {
      size_t digits = 0;
      while (digits < rest_.size() && absl::ascii_isdigit(rest_[digits])) ++digits;
      int64_t size = 0;
      if (!comma || !absl::SimpleAtoi(rest_.substr(0, digits), &size)) return false;
      rest_.remove_prefix(digits);
      absl::ConsumePrefix(&rest_, "L");  // a long number of Python 2
      shape.push_back(size);
      comma = Take(",");
    }
    // "(3)" is a number in Python, "(3,)" a tuple.
    return shape.size() != 1 || comma;
  }

  absl::string_view rest_;
  bool has_type_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

}  // namespace

int64_t NpyArray::Integer(int64_t index) const {
  const auto size = static_cast<size_t>(type.back() - '0');
  const uint64_t value = LittleEndian(elements.substr(static_cast<size_t>(index) * size, size));
  if (type[1] == 'u' || size == 8) return static_cast<int64_t>(value);
  const uint64_t sign = uint64_t{1} << (8 * size - 1);
  return static_cast<int64_t>((value ^ sign) - sign);
}

absl::StatusOr<NpyHeader> ParseNpyHeader(absl::string_view start, int64_t file_bytes,
                                         const std::vector<std::string>& wanted,
                                         absl::string_view name) {
  absl::string_view rest = start;
  if (!absl::ConsumePrefix(&rest, "\x93NUMPY") || rest.size() < 2) {
    const absl::string_view kind = FileKind(start);
    return absl::DataLossError(absl::StrCat(name, " is not an NPY file or is cut short",
                                            kind.empty() ? "" : "; it is ", kind));
  }
  const int major = static_cast<uint8_t>(rest[0]);
  const int minor = static_cast<uint8_t>(rest[1]);
  if (major < 1 || major > 3 || minor != 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, " has the NPY version ", major, ".", minor,
                                                   "; 1.0, 2.0 and 3.0 are read"));
  }
  rest.remove_prefix(2);
  const size_t length_bytes = major == 1 ? 2 : 4;
  const uint64_t length = LittleEndian(rest.substr(0, length_bytes));
  if (rest.size() < length_bytes || length > kMaxHeaderBytes ||
      rest.size() - length_bytes < length) {
    return absl::DataLossError(absl::StrCat(name, " is damaged or cut short in its header"));
  }
  HeaderReader header(rest.substr(length_bytes, length));
  if (!header.Read()) {
    return absl::DataLossError(absl::StrCat(
        name, " has a header that is not {'descr': 'TYPE', 'fortran_order': ..., 'shape': ...}"));
  }
  if (std::find(wanted.begin(), wanted.end(), header.type) == wanted.end()) {
    const bool objects = absl::StartsWith(header.type, "|O");
    return absl::InvalidArgumentError(absl::StrCat(
        name, " holds elements of type ", header.type, ", wanted: ", absl::StrJoin(wanted, ", "),
        objects ? "; |O are Python's objects, as a list of rows of unlike lengths becomes: pad the "
                  "rows to one length"
                : ""));
  }
  if (header.fortran_order) {
    return absl::InvalidArgumentError(absl::StrCat(
        name, " is in Fortran order; save numpy.ascontiguousarray(array) to have C order"));
  }
  NpyHeader result{header.type, header.shape, 0};
  rest.remove_prefix(length_bytes + length);
  result.offset = static_cast<int64_t>(start.size() - rest.size());
  const absl::StatusOr<int64_t> count =
      CheckedElementCount(header.shape, kMaxBytes / result.element_bytes());
  if (!count.ok()) {
    return absl::DataLossError(absl::StrCat(name, ": ", count.status().message()));
  }
  if (file_bytes - result.offset != *count * result.element_bytes()) {
    return absl::DataLossError(absl::StrCat(name, " has ", file_bytes - result.offset,
                                            " bytes of elements, its header says ",
                                            *count * result.element_bytes()));
  }
  return result;
}

absl::StatusOr<NpyArray> ParseNpy(absl::string_view bytes, const std::vector<std::string>& wanted,
                                  absl::string_view name) {
  DISTILLERY_ASSIGN_OR_RETURN(
      NpyHeader header, ParseNpyHeader(bytes, static_cast<int64_t>(bytes.size()), wanted, name));
  return NpyArray{std::move(header.type), std::move(header.shape),
                  bytes.substr(static_cast<size_t>(header.offset))};
}

}  // namespace distillery
