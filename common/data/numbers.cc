#include "common/data/numbers.h"

#include <cstring>
#include <optional>

#include "common/base/half.h"
#include "common/base/packed_number.h"
#include "common/base/status_macros.h"
#include "common/data/picture_lens.h"
#include "common/data/pixels.h"
#include "common/data/record_rows.h"
#include "common/data/seen_records.h"

namespace distillery {
namespace {

template <typename From, typename To>
void Convert(const uint8_t* from, int64_t count, void* to) {
  auto* const output = static_cast<To*>(to);
  for (int64_t i = 0; i < count; ++i) output[i] = static_cast<To>(NumberAt<From>(from, i));
}

// All but pictures.
void ConvertInput(const InputSpec& input, const uint8_t* stored, void* output) {
  const int64_t count = input.elements();
  switch (input.type) {
    case ElementType::kFloat16:
      return HalvesToFloats(reinterpret_cast<const char*>(stored), count,
                            static_cast<float*>(output));
    case ElementType::kInt32:
      return Convert<int32_t, int64_t>(stored, count, output);
    default:  // stored as the model takes them
      std::memcpy(output, stored, static_cast<size_t>(input.bytes()));
  }
}

void ConvertLabel(const AnswerSpec& answer, const uint8_t* stored, int64_t count, void* output) {
  switch (answer.kind) {
    case AnswerKind::kClasses:
      return Convert<int32_t, int64_t>(stored, count, output);
    case AnswerKind::kMultilabel:
      return Convert<uint8_t, float>(stored, count, output);
    case AnswerKind::kValues:
      return Convert<float, float>(stored, count, output);
  }
}

void* Advanced(void* numbers, int64_t count, ElementType type) {
  return static_cast<uint8_t*>(numbers) + count * SpecOf(type).bytes;
}

// Turns records into numbers, one after the other.
class Converter {
 public:
  Converter(const Dataset& dataset, const View& view, const SampleNumbers& output)
      : dataset_(dataset),
        spec_(dataset.spec()),
        seen_(dataset, view),
        label_count_(LabelCount(spec_.answer, dataset.class_count())),
        output_(output) {}

  // Call first.
  absl::Status LookAt(const std::vector<InputSpec>& taken) {
    bool same = taken.size() == spec_.inputs.size();
    for (size_t i = 0; same && i < taken.size(); ++i) {
      const InputSpec& input = spec_.inputs[i];
      lenses_.emplace_back();
      if (input.is_picture()) {
        DISTILLERY_ASSIGN_OR_RETURN(lenses_.back(), PictureLens::Create(input, taken[i]));
      } else {
        same = taken[i].shape == input.shape && ModelType(taken[i]) == ModelType(input);
      }
    }
    if (same) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("the model takes other inputs than those of data set ",
                     dataset_.reference().name, ", ", spec_.ToString()));
  }

  void Add(int64_t row, const uint8_t* record) {
    record = seen_.See(row, record);
    for (size_t i = 0; i < spec_.inputs.size(); ++i) {
      const InputSpec& input = spec_.inputs[i];
      void*& output = output_.inputs[i];
      if (lenses_[i].has_value()) {
        ScalePixels(lenses_[i]->See(record), lenses_[i]->size(), input.pixel_max,
                    static_cast<float*>(output));
        output = Advanced(output, lenses_[i]->size(), ModelType(input));
      } else {
        ConvertInput(input, record, output);
        output = Advanced(output, input.elements(), ModelType(input));
      }
      record += input.bytes();
    }
    if (output_.labels == nullptr) return;
    if (spec_.answer.one_class()) {
      *static_cast<int64_t*>(output_.labels) = dataset_.Label(row);
    } else {
      ConvertLabel(spec_.answer, record, label_count_, output_.labels);
    }
    output_.labels = Advanced(output_.labels, label_count_, LabelType(spec_.answer));
  }

 private:
  const Dataset& dataset_;
  const SampleSpec& spec_;
  SeenRecords seen_;
  const int64_t label_count_;
  SampleNumbers output_;
  // For each input; none for those that are no pictures.
  std::vector<std::optional<PictureLens>> lenses_;
};

}  // namespace

ElementType ModelType(const InputSpec& input) {
  if (input.is_picture()) return ElementType::kFloat32;
  switch (input.type) {
    case ElementType::kFloat16:
    case ElementType::kFloat32:
      return ElementType::kFloat32;
    case ElementType::kInt32:
    case ElementType::kInt64:
      return ElementType::kInt64;
    default:
      return ElementType::kUInt8;
  }
}

int64_t ModelBytes(const InputSpec& input) {
  return input.elements() * SpecOf(ModelType(input)).bytes;
}

ElementType LabelType(const AnswerSpec& answer) {
  return answer.kind == AnswerKind::kClasses ? ElementType::kInt64 : ElementType::kFloat32;
}

int64_t LabelCount(const AnswerSpec& answer, int64_t answers) {
  return answer.position_count() * (SpecOf(answer.kind).labels_each ? answers : 1);
}

absl::Status CheckView(const Dataset& dataset, const View& view) {
  return view.augmentation.CheckSuits(dataset.spec(), dataset.reference().name);
}

absl::Status LoadNumbers(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                         const SampleNumbers& output) {
  return LoadNumbers(dataset, rows, view, dataset.spec().inputs, output);
}

absl::Status LoadNumbers(const Dataset& dataset, const std::vector<int64_t>& rows, const View& view,
                         const std::vector<InputSpec>& taken, const SampleNumbers& output) {
  DISTILLERY_RETURN_IF_ERROR(CheckView(dataset, view));
  Converter converter(dataset, view, output);
  DISTILLERY_RETURN_IF_ERROR(converter.LookAt(taken));
  return ForEachRecord(dataset, rows,
                       [&](int64_t row, const uint8_t* record) { converter.Add(row, record); });
}

void Normalise(const InputSpec& input, const float* mean, const float* deviation, int64_t rows,
               float* numbers) {
  const int64_t channels = input.channels();
  const int64_t plane = input.elements() / channels;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t channel = 0; channel < channels; ++channel) {
      const float of_mean = mean[channel];
      const float of_deviation = deviation[channel];
      for (int64_t i = 0; i < plane; ++i) numbers[i] = (numbers[i] - of_mean) / of_deviation;
      numbers += plane;
    }
  }
}

}  // namespace distillery
