#include "common/data/pickle.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"

namespace distillery {
namespace {

// Of one pickle; CIFAR's have some 20,000.
constexpr size_t kMaxPickleValues = 10'000'000;

bool IsAnyOf(std::initializer_list<absl::string_view> names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

// The stack machine that a pickle is a program for. Its opcodes are named as in pickletools.
class PickleReader {
 public:
  PickleReader(absl::string_view bytes, absl::string_view name) : bytes_(bytes), name_(name) {}

  absl::StatusOr<Pickle> Read() {
    while (true) {
      const size_t at = place_;
      DISTILLERY_ASSIGN_OR_RETURN(const uint8_t code, Number(1));
      if (code == '.') break;
      opcode_at_ = at;
      DISTILLERY_RETURN_IF_ERROR(Do(code));
      if (std::max({pickle_.values_.size(), stack_.size(), memo_.size(), marks_.size()}) >
          kMaxPickleValues) {
        return Refuse("it has too many values");
      }
    }
    if (place_ != bytes_.size()) return Refuse("more follows after its end");
    if (stack_.size() != 1 || !marks_.empty()) return Damaged();
    pickle_.root_ = stack_.back();
    return std::move(pickle_);
  }

 private:
  using Kind = PickleValue::Kind;

  absl::Status Do(uint8_t code) {
    switch (code) {
      case 0x80: {  // PROTO
        DISTILLERY_ASSIGN_OR_RETURN(const int64_t protocol, Number(1));
        if (protocol >= 2 && protocol <= 5) return absl::OkStatus();
        return Refuse(absl::StrCat("protocol ", protocol, " is not read, only 2 to 5"));
      }
      case 0x95:  // FRAME
        return Skip(8);
      case '(':  // MARK
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case 'q':  // BINPUT
        return Remember(1);
      case 'r':  // LONG_BINPUT
        return Remember(4);
      case 0x94:  // MEMOIZE
        return RememberAs(static_cast<int64_t>(memo_.size()));
      case 'h':  // BINGET
        return Recall(1);
      case 'j':  // LONG_BINGET
        return Recall(4);
      case 'c':   // GLOBAL
      case 0x93:  // STACK_GLOBAL
        return code == 'c' ? PushGlobal() : PushStackGlobal();
      case 'R':  // REDUCE
        return Reduce();
      case 'b':  // BUILD
        return Build();
      default:
        return DoValue(code);
    }
  }

  absl::Status DoValue(uint8_t code) {
    switch (code) {
      case 'N':  // NONE
        New(Kind::kNone);
        return absl::OkStatus();
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        New(Kind::kNumber)->number = code == 0x88 ? 1 : 0;
        return absl::OkStatus();
      case 'K':  // BININT1
        return PushNumber(1);
      case 'M':  // BININT2
        return PushNumber(2);
      case 'J':  // BININT
        return PushNumber(4);
      case 'U':   // SHORT_BINSTRING
      case 'C':   // SHORT_BINBYTES
      case 0x8C:  // SHORT_BINUNICODE
        return PushText(1);
      case 'T':  // BINSTRING
      case 'B':  // BINBYTES
      case 'X':  // BINUNICODE
        return PushText(4);
      case 0x8E:  // BINBYTES8
      case 0x8D:  // BINUNICODE8
        return PushText(8);
      default:
        return DoGroup(code);
    }
  }

  absl::Status DoGroup(uint8_t code) {
    switch (code) {
      case '}':  // EMPTY_DICT
        New(Kind::kDictionary);
        return absl::OkStatus();
      case ']':  // EMPTY_LIST
        New(Kind::kList);
        return absl::OkStatus();
      case ')':  // EMPTY_TUPLE
        New(Kind::kTuple);
        return absl::OkStatus();
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        return PushTuple(static_cast<size_t>(code - 0x84));
      case 't': {  // TUPLE
        DISTILLERY_ASSIGN_OR_RETURN(const size_t count, AboveMark());
        return PushTuple(count);
      }
      case 'a':  // APPEND
        return Extend(Kind::kList, 1);
      case 's':  // SETITEM
        return Extend(Kind::kDictionary, 2);
      case 'e':    // APPENDS
      case 'u': {  // SETITEMS
        DISTILLERY_ASSIGN_OR_RETURN(const size_t count, AboveMark());
        if (code == 'u' && count % 2 != 0) return Damaged();
        return Extend(code == 'e' ? Kind::kList : Kind::kDictionary, count);
      }
      default:
        return Refuse(absl::StrFormat(
            "opcode 0x%02x is not read: only numbers, texts, lists, tuples, dictionaries and NumPy "
            "arrays are",
            code));
    }
  }

  absl::Status Refuse(const std::string& what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": a pickle, at byte ", opcode_at_, ": ", what));
  }
  absl::Status Damaged() const {
    return absl::DataLossError(absl::StrCat(name_, ": the pickle is damaged at byte ", opcode_at_));
  }
  absl::Status CutShort() const {
    return absl::DataLossError(absl::StrCat(name_, ": the pickle is cut short"));
  }

  // Little-endian, without a sign.
  absl::StatusOr<int64_t> Number(size_t size) {
    if (bytes_.size() - place_ < size) return CutShort();
    uint64_t value = 0;
    for (size_t i = size; i > 0; --i) {
      value = value << 8 | static_cast<uint8_t>(bytes_[place_ + i - 1]);
    }
    if (value > INT64_MAX) return Damaged();
    place_ += size;
    return static_cast<int64_t>(value);
  }
  absl::Status Skip(size_t size) { return Number(size).status(); }
  absl::StatusOr<absl::string_view> Line() {
    const size_t end = bytes_.find('\n', place_);
    if (end == absl::string_view::npos) return CutShort();
    const absl::string_view line = bytes_.substr(place_, end - place_);
    place_ = end + 1;
    return line;
  }

  PickleValue* New(Kind kind) {
    PickleValue& value = pickle_.values_.emplace_back();
    value.kind = kind;
    stack_.push_back(&value);
    return &value;
  }
  // The number of values above the last mark, which goes.
  absl::StatusOr<size_t> AboveMark() {
    if (marks_.empty() || marks_.back() > stack_.size()) return Damaged();
    const size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }
  bool Has(size_t count) const {
    return stack_.size() >= count + (marks_.empty() ? 0 : marks_.back());
  }
  // REQUIRES: Has(1).
  PickleValue* Take() {
    PickleValue* const value = stack_.back();
    stack_.pop_back();
    return value;
  }

  absl::Status PushNumber(size_t size) {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t value, Number(size));
    New(Kind::kNumber)->number =
        size == 4 ? static_cast<int32_t>(static_cast<uint32_t>(value)) : value;
    return absl::OkStatus();
  }
  absl::Status PushText(size_t length_size) {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t length, Number(length_size));
    if (length > static_cast<int64_t>(bytes_.size() - place_)) return CutShort();
    New(Kind::kText)->text = bytes_.substr(place_, static_cast<size_t>(length));
    place_ += static_cast<size_t>(length);
    return absl::OkStatus();
  }
  absl::Status PushTuple(size_t count) {
    if (!Has(count)) return Damaged();
    std::vector<const PickleValue*> items(stack_.end() - static_cast<int64_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    New(Kind::kTuple)->items = std::move(items);
    return absl::OkStatus();
  }
  // Adds the upper values to the list or dictionary below them.
  absl::Status Extend(Kind kind, size_t count) {
    if (!Has(count + 1)) return Damaged();
    PickleValue* const group = stack_[stack_.size() - count - 1];
    if (group->kind != kind) return Damaged();
    group->items.insert(group->items.end(), stack_.end() - static_cast<int64_t>(count),
                        stack_.end());
    stack_.resize(stack_.size() - count);
    return absl::OkStatus();
  }

  absl::Status Remember(size_t size) {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t number, Number(size));
    return RememberAs(number);
  }
  absl::Status RememberAs(int64_t number) {
    if (!Has(1)) return Damaged();
    memo_[number] = stack_.back();
    return absl::OkStatus();
  }
  absl::Status Recall(size_t size) {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t number, Number(size));
    const auto found = memo_.find(number);
    if (found == memo_.end()) return Damaged();
    stack_.push_back(found->second);
    return absl::OkStatus();
  }

  absl::Status PushGlobal() {
    DISTILLERY_ASSIGN_OR_RETURN(const absl::string_view module, Line());
    DISTILLERY_ASSIGN_OR_RETURN(const absl::string_view name, Line());
    return PushName(module, name);
  }
  absl::Status PushStackGlobal() {
    if (!Has(2)) return Damaged();
    const PickleValue* const name = Take();
    const PickleValue* const module = Take();
    if (name->kind != Kind::kText || module->kind != Kind::kText) return Damaged();
    return PushName(module->text, name->text);
  }
  absl::Status PushName(absl::string_view module, absl::string_view name) {
    const std::string& whole = pickle_.names_.emplace_back(absl::StrCat(module, ".", name));
    if (!IsAnyOf({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
                  "numpy.ndarray", "numpy.dtype"},
                 whole)) {
      return Refuse(absl::StrCat("it wants ", PlainText(whole),
                                 "; only data is read, which names nothing but NumPy's arrays. If "
                                 "it is yours, load it in Python and write it anew with "
                                 "pickle.dump(data, file, protocol=4)"));
    }
    New(Kind::kName)->text = whole;
    return absl::OkStatus();
  }

  // Calls one of the names.
  absl::Status Reduce() {
    if (!Has(2)) return Damaged();
    const PickleValue* const arguments = Take();
    const PickleValue* const name = Take();
    if (name->kind != Kind::kName || arguments->kind != Kind::kTuple) return Damaged();
    if (name->text == "numpy.dtype") {
      if (arguments->items.empty() || arguments->items[0]->kind != Kind::kText) return Damaged();
      New(Kind::kType)->text = arguments->items[0]->text;
      return absl::OkStatus();
    }
    if (name->text == "numpy.ndarray") return Damaged();
    New(Kind::kArray);
    return absl::OkStatus();
  }

  // Gives an array its content: version, shape, type, whether in Fortran order, elements.
  absl::Status Build() {
    if (!Has(2)) return Damaged();
    const PickleValue* const state = Take();
    PickleValue* const value = stack_.back();
    if (state->kind != Kind::kTuple) return Damaged();
    // A type's says more about types that are not of one byte.
    if (value->kind == Kind::kType) return absl::OkStatus();
    constexpr size_t kParts = 5;
    if (value->kind != Kind::kArray || state->items.size() != kParts) return Damaged();
    const auto& parts = state->items;
    if (parts[1]->kind != Kind::kTuple || parts[2]->kind != Kind::kType ||
        parts[3]->kind != Kind::kNumber || parts[4]->kind != Kind::kText) {
      return Damaged();
    }
    for (const PickleValue* const size : parts[1]->items) {
      if (size->kind != Kind::kNumber) return Damaged();
    }
    value->items = parts[1]->items;
    value->type = parts[2]->text;
    value->fortran = parts[3]->number != 0;
    value->text = parts[4]->text;
    return absl::OkStatus();
  }

  const absl::string_view bytes_;
  const std::string name_;
  size_t place_ = 0;
  size_t opcode_at_ = 0;
  Pickle pickle_;
  std::vector<PickleValue*> stack_;
  // The height of the stack at each mark.
  std::vector<size_t> marks_;
  std::map<int64_t, PickleValue*> memo_;
};

const PickleValue* PickleValue::Find(absl::string_view key) const {
  if (kind != Kind::kDictionary) return nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i]->kind == Kind::kText && items[i]->text == key) return items[i + 1];
  }
  return nullptr;
}

absl::StatusOr<Pickle> Pickle::Parse(absl::string_view bytes, absl::string_view name) {
  return PickleReader(bytes, name).Read();
}

}  // namespace distillery
