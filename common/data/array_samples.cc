#include "common/data/array_samples.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/data/array_elements.h"
#include "common/data/array_labels.h"
#include "common/data/data_options.h"
#include "common/data/record_file.h"

namespace distillery {
namespace {

constexpr char kLabels[] = "labels";
constexpr char kMask[] = "mask";
constexpr char kTokens[] = "tokens";

bool Contains(const std::vector<std::string>& names, absl::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::StatusOr<ImageShape> ShapeOfImages(const ArrayInput& images) {
  const std::vector<int64_t>& sizes = images.header().shape;
  if (sizes.size() == 3) return ImageShape{1, sizes[1], sizes[2]};
  if (sizes.size() == 4 && (sizes[1] == 1 || sizes[1] == 3)) {
    return ImageShape{sizes[1], sizes[2], sizes[3]};
  }
  const bool channels_last = sizes.size() == 4 && (sizes[3] == 1 || sizes[3] == 3);
  return absl::InvalidArgumentError(absl::StrCat(
      images.place(), " has the shape ", ShapeText(sizes),
      ", wanted: [samples, height, width] or [samples, channels, height, width] with 1 or 3 "
      "channels",
      channels_last ? "; save numpy.ascontiguousarray(array.transpose(0, 3, 1, 2))" : ""));
}

absl::StatusOr<InputSpec> SpecOfInput(const ArrayInput& array, const std::string& name) {
  if (name == kImages) {
    DISTILLERY_ASSIGN_OR_RETURN(const ImageShape shape, ShapeOfImages(array));
    return SampleSpec::Pictures(shape, 255).inputs[0];
  }
  const std::vector<int64_t>& sizes = array.header().shape;
  InputSpec input;
  input.name = name;
  input.type = ArrayTypeOf(array.header().type).stored;
  input.shape.assign(sizes.begin() + 1, sizes.end());
  return input;
}

class ArrayReader {
 public:
  ArrayReader(const ArraySource& source, const std::string& folder, int64_t max_bytes)
      : source_(source), folder_(folder), max_bytes_(max_bytes) {}

  absl::StatusOr<StoredSamples> Read(std::set<std::string>* files) {
    DISTILLERY_RETURN_IF_ERROR(FindInputs());
    const bool picture = inputs_.size() == 1 && inputs_[0] == kImages;
    std::vector<int64_t> pixels;
    if (picture) pixels = {samples_.shape().height, samples_.shape().width};
    labels_.emplace(&source_, folder_, pixels);
    DISTILLERY_RETURN_IF_ERROR(labels_->Learn());
    samples_.spec.answer = labels_->answer();
    samples_.class_names = labels_->names();
    DISTILLERY_RETURN_IF_ERROR(PlaceMask(picture));
    DISTILLERY_RETURN_IF_ERROR(CountSamples());
    DISTILLERY_RETURN_IF_ERROR(LearnTokens());
    DISTILLERY_RETURN_IF_ERROR(CheckSampleSpec(samples_.spec));
    samples_.train = IndexList::Range(0, train_count_);
    samples_.test = IndexList::Range(train_count_, test_count_);
    DISTILLERY_ASSIGN_OR_RETURN(const bool on_demand, LieAsTheyAre());
    DISTILLERY_RETURN_IF_ERROR(on_demand ? TakeFiles() : ReadRecords());
    files_.insert(labels_->files().begin(), labels_->files().end());
    for (const char* const split : {"train", "test"}) {
      for (const std::string& name : inputs_) files_.insert(source_.Place(split, name));
      files_.insert(source_.Place(split, kLabels));
      if (has_mask_) files_.insert(source_.Place(split, kMask));
    }
    *files = std::move(files_);
    return std::move(samples_);
  }

 private:
  std::vector<std::string> WantedTypes(const std::string& name) const {
    if (name == kImages) return {"|u1"};
    if (name == kMask) return {"|u1", "|b1"};
    return InputTypes();
  }
  absl::StatusOr<std::unique_ptr<ArrayInput>> Open(const std::string& split,
                                                   const std::string& name) const {
    return source_.Open(split, name, WantedTypes(name));
  }

  // Sets the names of the inputs and their specs, but for the mask.
  absl::Status FindInputs() {
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> names, source_.Names("train"));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> of_test, source_.Names("test"));
    for (const std::string& name : of_test) {
      // Labels that are missing are told when they are opened.
      if (Contains(names, name) || name == kLabels) continue;
      return absl::InvalidArgumentError(absl::StrCat("there is ", source_.Place("test", name),
                                                     ", but no ", source_.Place("train", name)));
    }
    for (const std::string& name : names) {
      if (name == kLabels || name == kMask) continue;
      DISTILLERY_RETURN_IF_ERROR(AddInput(name));
    }
    has_mask_ = Contains(names, kMask);
    if (inputs_.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("there are no inputs such as ", source_.Place("train", "inputs")));
    }
    return absl::OkStatus();
  }

  absl::Status AddInput(const std::string& name) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::unique_ptr<ArrayInput> train, Open("train", name));
    DISTILLERY_ASSIGN_OR_RETURN(const std::unique_ptr<ArrayInput> test, Open("test", name));
    DISTILLERY_ASSIGN_OR_RETURN(InputSpec spec, SpecOfInput(*train, name));
    DISTILLERY_ASSIGN_OR_RETURN(const InputSpec test_spec, SpecOfInput(*test, name));
    if (!(spec == test_spec)) {
      const char* const what = name == kImages ? "images" : "samples";
      const bool types = !(spec.type == test_spec.type);
      return absl::InvalidArgumentError(absl::StrCat(
          test->place(), " has ", what, " of ", types ? SpecOf(test_spec.type).text : "",
          types ? " " : "", ShapeText(test_spec.shape), ", the training ", what, " are ",
          types ? SpecOf(spec.type).text : "", types ? " " : "", ShapeText(spec.shape)));
    }
    inputs_.push_back(name);
    samples_.spec.inputs.push_back(std::move(spec));
    return absl::OkStatus();
  }

  // A mask of positions, or an input, or of no meaning.
  absl::Status PlaceMask(bool picture) {
    if (!has_mask_) return absl::OkStatus();
    const AnswerSpec& answer = labels_->answer();
    if (answer.positions.empty()) {
      has_mask_ = false;
      return picture ? absl::OkStatus() : AddInput(kMask);
    }
    if (answer.kind != AnswerKind::kClasses) {
      return absl::InvalidArgumentError(absl::StrCat(source_.Place("train", kMask),
                                                     " says which positions count, which only "
                                                     "classes may have; the labels are ",
                                                     SpecOf(answer.kind).name));
    }
    for (const char* const split : {"train", "test"}) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto mask, Open(split, kMask));
      DISTILLERY_ASSIGN_OR_RETURN(const auto labels, Open(split, kLabels));
      if (mask->header().shape == labels->header().shape) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          mask->place(), " has the shape ", ShapeText(mask->header().shape), ", wanted that of ",
          labels->place(), ": ", ShapeText(labels->header().shape)));
    }
    return absl::OkStatus();
  }

  absl::Status CountSamples() {
    for (const auto& [split, count] :
         {std::pair{"train", &train_count_}, std::pair{"test", &test_count_}}) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto first, Open(split, inputs_[0]));
      *count = first->rows();
      std::vector<std::string> others(inputs_.begin() + 1, inputs_.end());
      others.emplace_back(kLabels);
      for (const std::string& name : others) {
        DISTILLERY_ASSIGN_OR_RETURN(const auto other, Open(split, name));
        if (other->rows() == *count) continue;
        return absl::DataLossError(
            absl::StrCat(first->place(), " has ", *count,
                         inputs_[0] == kImages ? " images but " : " samples but ", other->place(),
                         " has ", other->rows(), name == kLabels ? " labels" : ""));
      }
    }
    return absl::OkStatus();
  }

  // Sets the vocabulary of the tokens, and checks that all are in it.
  absl::Status LearnTokens() {
    const auto found = std::find(inputs_.begin(), inputs_.end(), kTokens);
    if (found == inputs_.end()) return absl::OkStatus();
    InputSpec& input = samples_.spec.inputs[static_cast<size_t>(found - inputs_.begin())];
    if (input.type != ElementType::kInt32 && input.type != ElementType::kInt64) {
      return absl::InvalidArgumentError(
          absl::StrCat(source_.Place("train", kTokens), " holds ", SpecOf(input.type).text,
                       ", wanted: int32 or int64; an input that is no tokens has another name"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const ArrayOptions options, ReadArrayOptions(folder_));
    files_.insert(kOptionsFile);
    int64_t largest = 0;
    for (const char* const split : {"train", "test"}) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto array, Open(split, kTokens));
      const std::string& type = array->header().type;
      DISTILLERY_RETURN_IF_ERROR(array->ForEachRow([&](int64_t row, absl::string_view bytes) {
        for (int64_t i = 0; i < input.elements(); ++i) {
          const int64_t token = WholeElement(type, bytes, i);
          largest = std::max(largest, token);
          if (token >= 0 && token < options.vocabulary.value_or(kMaxVocabulary)) continue;
          return absl::InvalidArgumentError(
              absl::StrCat(array->place(), ": sample ", row, ", element ", i, " is ", token,
                           ", tokens are 0 to ", options.vocabulary.value_or(kMaxVocabulary) - 1));
        }
        return absl::OkStatus();
      }));
    }
    input.vocabulary = options.vocabulary.value_or(largest + 1);
    return absl::OkStatus();
  }

  // Whether records are what lies in the files.
  absl::StatusOr<bool> LieAsTheyAre() const {
    if (inputs_.size() != 1 || !samples_.spec.answer.one_class()) return false;
    for (const char* const split : {"train", "test"}) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto array, Open(split, inputs_[0]));
      const ArrayType& type = ArrayTypeOf(array->header().type);
      if (!type.as_it_is || !array->TakeFile().has_value()) return false;
      if (type.kind != ArrayKind::kFloat) continue;
      DISTILLERY_ASSIGN_OR_RETURN(const auto again, Open(split, inputs_[0]));
      std::vector<uint8_t> scratch(static_cast<size_t>(samples_.spec.input_bytes()));
      DISTILLERY_RETURN_IF_ERROR(StoreRows(*again, [&](int64_t) { return scratch.data(); }));
    }
    return true;
  }

  // Stores the rows of an input where `place` says.
  static absl::Status StoreRows(ArrayInput& array,
                                const std::function<uint8_t*(int64_t row)>& place) {
    const ArrayType& type = ArrayTypeOf(array.header().type);
    return array.ForEachRow([&](int64_t row, absl::string_view bytes) {
      const std::optional<std::string> wrong = StoreElements(type, bytes, place(row));
      if (!wrong.has_value()) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat(array.place(), ": sample ", row, ": ", *wrong));
    });
  }

  // Takes the files of the input to be read on demand, and reads the labels.
  absl::Status TakeFiles() {
    samples_.sources.folder = folder_;
    samples_.labels.reserve(static_cast<size_t>(train_count_ + test_count_));
    for (const char* const split : {"train", "test"}) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto array, Open(split, inputs_[0]));
      const RecordLayout layout{array->header().offset, samples_.spec.input_bytes(),
                                samples_.spec.input_bytes(), array->rows()};
      std::optional<InputFile> file = array->TakeFile();
      DISTILLERY_ASSIGN_OR_RETURN(const auto labels, labels_->Open(split));
      DISTILLERY_RETURN_IF_ERROR(labels->ForEachRow([&](int64_t row, absl::string_view bytes) {
        int32_t label = 0;
        absl::Status stored = labels_->Store(*labels, row, bytes, nullptr, &label);
        samples_.labels.push_back(label);
        return stored;
      }));
      samples_.sources.files.push_back(file->stamp());
      samples_.sources.files.push_back(labels->TakeFile()->stamp());
      samples_.files.push_back(std::make_shared<RecordFile>(*std::move(file), layout));
    }
    return absl::OkStatus();
  }

  absl::Status ReadRecords() {
    const int64_t record_bytes = samples_.record_bytes();
    const int64_t count = train_count_ + test_count_;
    if (record_bytes < 1 || count > max_bytes_ / record_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          count, " samples of ", record_bytes, " bytes are more than the ", max_bytes_,
          " that are held in memory; only one NPY file of inputs, of the type that is stored, with "
          "one class for each sample is read on demand"));
    }
    samples_.records.resize(static_cast<size_t>(count * record_bytes));
    samples_.labels.reserve(static_cast<size_t>(count));
    DISTILLERY_RETURN_IF_ERROR(ReadSplit("train", 0));
    return ReadSplit("test", train_count_);
  }

  absl::Status ReadSplit(const std::string& split, int64_t first) {
    int64_t offset = 0;
    const auto place = [&](int64_t row) {
      return &samples_
                  .records[static_cast<size_t>((first + row) * samples_.record_bytes() + offset)];
    };
    for (size_t i = 0; i < inputs_.size(); ++i) {
      DISTILLERY_ASSIGN_OR_RETURN(const auto array, Open(split, inputs_[i]));
      DISTILLERY_RETURN_IF_ERROR(StoreRows(*array, place));
      offset += samples_.spec.inputs[i].bytes();
    }
    const bool one_class = samples_.spec.answer.one_class();
    DISTILLERY_ASSIGN_OR_RETURN(const auto labels, labels_->Open(split));
    DISTILLERY_RETURN_IF_ERROR(labels->ForEachRow([&](int64_t row, absl::string_view bytes) {
      int32_t label = 0;
      absl::Status stored =
          labels_->Store(*labels, row, bytes, one_class ? nullptr : place(row), &label);
      samples_.labels.push_back(label);
      return stored;
    }));
    if (!has_mask_) return absl::OkStatus();
    DISTILLERY_ASSIGN_OR_RETURN(const auto mask, Open(split, kMask));
    return mask->ForEachRow([&](int64_t row, absl::string_view bytes) {
      return labels_->Mask(*mask, row, bytes, place(row));
    });
  }

  const ArraySource& source_;
  const std::string& folder_;
  const int64_t max_bytes_;
  // In the order of the spec.
  std::vector<std::string> inputs_;
  std::optional<ArrayLabels> labels_;
  // There is a mask of positions.
  bool has_mask_ = false;
  int64_t train_count_ = 0;
  int64_t test_count_ = 0;
  std::set<std::string> files_;
  StoredSamples samples_;
};

}  // namespace

absl::StatusOr<StoredSamples> ReadArrays(const ArraySource& source, const std::string& folder,
                                         int64_t max_bytes, std::set<std::string>* files) {
  return ArrayReader(source, folder, max_bytes).Read(files);
}

}  // namespace distillery
