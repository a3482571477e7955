#include "common/data/array_labels.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/regular_file.h"
#include "common/base/status_macros.h"
#include "common/data/array_elements.h"
#include "common/data/class_names.h"

namespace distillery {
namespace {

constexpr char kClassesFile[] = "classes.txt";
constexpr char kLabelsFile[] = "labels.txt";
constexpr char kValuesFile[] = "values.txt";

absl::Status Refused(const ArrayInput& array, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(array.place(), " is ", array.header().type, " ",
                                                 ShapeText(array.header().shape), ": ", why));
}

bool IsRowOfBits(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0 || byte == 1; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArrayInput>> ArrayLabels::Open(const std::string& split) const {
  return source_->Open(split, "labels", InputTypes());
}

absl::Status ArrayLabels::LookForNames() {
  has_classes_file_ = NameIsTaken(absl::StrCat(folder_, "/", kClassesFile));
  has_labels_file_ = NameIsTaken(absl::StrCat(folder_, "/", kLabelsFile));
  if (!has_classes_file_ || !has_labels_file_) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "there are both classes.txt, of which one is right, and labels.txt, each of which is right "
      "or "
      "not: remove one");
}

absl::StatusOr<AnswerSpec> ArrayLabels::AnswerOf(const ArrayInput& array) const {
  const std::vector<int64_t>& shape = array.header().shape;
  const ArrayKind kind = ArrayTypeOf(array.header().type).kind;
  AnswerSpec answer;
  // What follows the samples, without the numbers of an answer where it has several.
  answer.positions.assign(shape.begin() + 1, shape.end());
  if (kind == ArrayKind::kFloat) {
    answer.kind = AnswerKind::kValues;
    if (shape.size() > 1) answer.positions.pop_back();
  } else if (kind == ArrayKind::kBool || has_labels_file_) {
    if (kind != ArrayKind::kBool && array.header().type != "|u1") {
      return Refused(array,
                     "labels.txt names labels that are right or not each by itself, so save "
                     "bool or uint8; name classes in classes.txt");
    }
    if (shape.size() < 2) {
      return Refused(array,
                     "bools have the shape [samples, labels]; for two classes save uint8 and "
                     "name them in classes.txt");
    }
    answer.kind = AnswerKind::kMultilabel;
    answer.positions.pop_back();
  }
  if (!pixels_.empty() && !answer.positions.empty() && answer.positions != pixels_) {
    return absl::InvalidArgumentError(absl::StrCat(
        array.place(), " has the shape ", ShapeText(shape), ", wanted: [samples], or [samples, ",
        absl::StrJoin(pixels_, ", "), "] for each pixel"));
  }
  if (answer.positions.size() > 2) {
    return Refused(array, "a sample has no positions, [length] or [height, width]");
  }
  return answer;
}

int64_t ArrayLabels::AnswersOf(const ArrayInput& array) const {
  const std::vector<int64_t>& shape = array.header().shape;
  if (answer_.kind == AnswerKind::kClasses) return 0;
  return shape.size() == 1 ? 1 : shape.back();
}

std::string ArrayLabels::PlaceOf(const ArrayInput& array, int64_t row, int64_t position) const {
  std::string text = absl::StrCat(array.place(), ": sample ", row);
  if (answer_.positions.size() == 1) absl::StrAppend(&text, ", position ", position);
  if (answer_.positions.size() == 2) {
    const int64_t width = answer_.positions[1];
    absl::StrAppend(&text, ", position ", ShapeText({position / width, position % width}));
  }
  return text;
}

absl::Status ArrayLabels::NoClass(const ArrayInput& array, int64_t row, int64_t element,
                                  int64_t label) const {
  const int64_t classes = names_.empty() ? kMaxClasses : static_cast<int64_t>(names_.size());
  if (answer_.one_class()) {
    return absl::InvalidArgumentError(absl::StrCat(array.place(), ": label ", row, " is ", label,
                                                   ", classes are 0 to ", classes - 1));
  }
  return absl::InvalidArgumentError(absl::StrCat(PlaceOf(array, row, element), " has the label ",
                                                 label, ", classes are 0 to ", classes - 1,
                                                 ", and ", kNoLabel, " is none"));
}

absl::Status ArrayLabels::LearnClasses(const std::string& split, int64_t* largest) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::unique_ptr<ArrayInput> array, Open(split));
  const int64_t classes = names_.empty() ? kMaxClasses : static_cast<int64_t>(names_.size());
  const std::string& type = array->header().type;
  return array->ForEachRow([&](int64_t row, absl::string_view bytes) -> absl::Status {
    const int64_t count = answer_.position_count();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t label = WholeElement(type, bytes, i);
      if (label == kNoLabel && !answer_.one_class()) continue;
      if (label < 0 || label >= classes) return NoClass(*array, row, i, label);
      *largest = std::max(*largest, label);
    }
    return absl::OkStatus();
  });
}

absl::Status ArrayLabels::SetNames(int64_t count) {
  // Before a name is made for each: a few bytes of an archive may say many.
  if (count > kMaxClasses) {
    return absl::InvalidArgumentError(absl::StrCat(source_->Place("train", "labels"), " has ",
                                                   count, " ", SpecOf(answer_.kind).noun,
                                                   " for each answer, the most are ", kMaxClasses));
  }
  const std::string file = answer_.kind == AnswerKind::kMultilabel ? kLabelsFile : kValuesFile;
  const std::string path = absl::StrCat(folder_, "/", file);
  names_ = NumberedClassNames(count);
  if (!NameIsTaken(path)) return absl::OkStatus();
  files_.insert(file);
  DISTILLERY_ASSIGN_OR_RETURN(names_, ReadClassNames(path));
  if (static_cast<int64_t>(names_.size()) != count) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, " has ", names_.size(), " names, the labels have ", count, " numbers"));
  }
  return Annotate(CheckClassNames(names_, LeastNames(answer_)), file);
}

absl::Status ArrayLabels::Learn() {
  DISTILLERY_RETURN_IF_ERROR(LookForNames());
  DISTILLERY_ASSIGN_OR_RETURN(const std::unique_ptr<ArrayInput> train, Open("train"));
  DISTILLERY_ASSIGN_OR_RETURN(const std::unique_ptr<ArrayInput> test, Open("test"));
  DISTILLERY_ASSIGN_OR_RETURN(answer_, AnswerOf(*train));
  DISTILLERY_ASSIGN_OR_RETURN(const AnswerSpec test_answer, AnswerOf(*test));
  if (!(test_answer == answer_) || AnswersOf(*test) != AnswersOf(*train)) {
    return Refused(*test, absl::StrCat("the labels of train are ", train->header().type, " ",
                                       ShapeText(train->header().shape)));
  }
  if (answer_.kind != AnswerKind::kClasses) return SetNames(AnswersOf(*train));
  if (has_classes_file_) {
    files_.insert(kClassesFile);
    DISTILLERY_ASSIGN_OR_RETURN(names_, ReadClassNames(absl::StrCat(folder_, "/", kClassesFile)));
    DISTILLERY_RETURN_IF_ERROR(Annotate(CheckClassNames(names_), kClassesFile));
  }
  int64_t largest = -1;
  DISTILLERY_RETURN_IF_ERROR(LearnClasses("train", &largest));
  DISTILLERY_RETURN_IF_ERROR(LearnClasses("test", &largest));
  const bool bytes = train->header().type == "|u1" && test->header().type == "|u1";
  if (!has_classes_file_ && bytes && answer_.positions.size() == 1 && largest <= 1) {
    return Refused(*train,
                   "of 0 and 1 alone it may mean labels, each of which is right or not: save bool, "
                   "or name them in labels.txt; or two classes at each position: save int64, or "
                   "name them in classes.txt");
  }
  if (largest < 0) return Refused(*train, "no position has a label");
  if (!has_classes_file_) names_ = NumberedClassNames(largest + 1);
  return absl::OkStatus();
}

absl::Status ArrayLabels::Store(const ArrayInput& array, int64_t row, absl::string_view bytes,
                                uint8_t* output, int32_t* label) const {
  const ArrayType& type = ArrayTypeOf(array.header().type);
  switch (answer_.kind) {
    case AnswerKind::kMultilabel:
      if (!IsRowOfBits(bytes)) {
        return absl::InvalidArgumentError(
            absl::StrCat(array.place(), ": sample ", row,
                         " has labels other than 0 and 1; labels.txt names "
                         "labels that are right or not each by itself"));
      }
      std::memcpy(output, bytes.data(), bytes.size());
      return absl::OkStatus();
    case AnswerKind::kValues:
      if (const auto wrong = StoreFloats(type, bytes, output)) {
        return absl::InvalidArgumentError(
            absl::StrCat(array.place(), ": sample ", row, ": ", *wrong));
      }
      return absl::OkStatus();
    default:
      break;
  }
  const int64_t count = answer_.position_count();
  const auto classes = static_cast<int64_t>(names_.size());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t element = WholeElement(type.npy, bytes, i);
    const bool none = element == kNoLabel && !answer_.one_class();
    // It was checked before, but the file may have changed since.
    if (!none && (element < 0 || element >= classes)) return NoClass(array, row, i, element);
    const auto one = static_cast<int32_t>(element);
    if (answer_.one_class()) {
      *label = one;
    } else {
      std::memcpy(output + i * static_cast<int64_t>(sizeof(one)), &one, sizeof(one));
    }
  }
  return absl::OkStatus();
}

absl::Status ArrayLabels::Mask(const ArrayInput& array, int64_t row, absl::string_view bytes,
                               uint8_t* output) const {
  if (!IsRowOfBits(bytes)) {
    return absl::InvalidArgumentError(absl::StrCat(array.place(), ": sample ", row,
                                                   " has other numbers than 0 and 1; a position "
                                                   "counts where its mask is 1"));
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == 0) std::memcpy(output + i * sizeof(kNoLabel), &kNoLabel, sizeof(kNoLabel));
  }
  return absl::OkStatus();
}

}  // namespace distillery
