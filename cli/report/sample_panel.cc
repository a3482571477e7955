#include "cli/report/sample_panel.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "cli/models/sample.h"
#include "cli/models/sample_text.h"
#include "common/base/status_macros.h"
#include "common/data/sound_picture.h"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostUncertain = 6;
// Of answers other than one class for a sample.
constexpr size_t kMostPicked = 4;
// Logits of one model for one sample: a page with many more would be slow.
constexpr int64_t kMostNumbers = 20'000;
// Numbers of a series that are drawn.
constexpr int64_t kMostDrawn = 4096;

// In nats, of softmax(z).
double EntropyOf(const float* row, size_t count) {
  const double most = *std::max_element(row, row + count);
  double sum = 0;
  double weighted = 0;
  for (size_t i = 0; i < count; ++i) {
    const double e = std::exp(row[i] - most);
    sum += e;
    weighted += e * (row[i] - most);
  }
  return std::log(sum) - weighted / sum;
}

// In nats, the mean over labels, each of which is or is not.
double BinaryEntropyOf(const float* row, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float> two = {row[i], 0};
    sum += EntropyOf(two.data(), 2);
  }
  return sum / static_cast<double>(count);
}

class Picker {
 public:
  explicit Picker(const SampleQuestion& question)
      : question_(question),
        answer_(question.dataset->spec().answer),
        width_(static_cast<size_t>(question.dataset->class_count())),
        positions_(static_cast<size_t>(answer_.position_count())),
        judge_(question.teacher->empty() ? *question.student : *question.teacher),
        who_(question.teacher->empty() ? "student" : "teacher"),
        count_(static_cast<int64_t>(judge_.size() / (width_ * positions_))) {}

  absl::StatusOr<Json> Pick() {
    if (question_.in_order) {
      for (int64_t row = 0; row < count_; ++row) Add(row, "one of the first");
    } else if (answer_.kind == AnswerKind::kValues) {
      PickValues();
    } else {
      PickUncertain();
    }
    std::vector<int64_t> rows;
    for (const auto& [row, why] : picked_) rows.push_back(row);
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Sample> samples,
                                ReadSamplesOf(*question_.dataset, question_.data_dir, rows));
    Json list = Json::array();
    for (size_t i = 0; i < samples.size(); ++i) {
      list.push_back(ToJson(samples[i], picked_[i].first, picked_[i].second));
    }
    return list;
  }

 private:
  const float* RowOf(const std::vector<float>& logits, int64_t row) const {
    return &logits[static_cast<size_t>(row) * positions_ * width_];
  }

  // Of a sample, the mean over its positions.
  double EntropyOfSample(int64_t row) const {
    const float* at = RowOf(judge_, row);
    double sum = 0;
    for (size_t i = 0; i < positions_; ++i, at += width_) {
      sum += answer_.kind == AnswerKind::kClasses ? EntropyOf(at, width_)
                                                  : BinaryEntropyOf(at, width_);
    }
    return sum / static_cast<double>(positions_);
  }

  std::vector<int64_t> ChoicesOf(const float* at) const {
    std::vector<int64_t> choices;
    for (size_t i = 0; i < positions_; ++i, at += width_) {
      choices.push_back(std::max_element(at, at + width_) - at);
    }
    return choices;
  }

  // How unlike two answers are: positions of another choice, labels of another sign.
  int64_t DifferencesOf(int64_t row) const {
    const float* a = RowOf(*question_.teacher, row);
    const float* b = RowOf(*question_.student, row);
    int64_t count = 0;
    for (size_t i = 0; i < positions_; ++i, a += width_, b += width_) {
      if (answer_.kind == AnswerKind::kClasses) {
        const auto choice_a = std::max_element(a, a + width_) - a;
        count += choice_a == std::max_element(b, b + width_) - b ? 0 : 1;
      } else {
        for (size_t k = 0; k < width_; ++k) count += (a[k] > 0) == (b[k] > 0) ? 0 : 1;
      }
    }
    return count;
  }

  bool Add(int64_t row, const std::string& why) {
    for (const auto& [known, reason] : picked_) {
      if (known == row) return false;
    }
    picked_.emplace_back(row, why);
    return true;
  }

  bool HasBoth() const { return !question_.teacher->empty() && !question_.student->empty(); }

  void PickUncertain() {
    for (int64_t row = 0; row < count_; ++row) entropies_.push_back(EntropyOfSample(row));
    std::vector<int64_t> order(static_cast<size_t>(count_));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return entropies_[static_cast<size_t>(a)] > entropies_[static_cast<size_t>(b)];
    });
    // The least certain of each choice, so that no single pair of classes fills the list.
    std::set<std::vector<int64_t>> choices;
    for (const int64_t row : order) {
      if (picked_.size() == (answer_.one_class() ? kMostUncertain : kMostPicked)) break;
      if (answer_.one_class() && !choices.insert(ChoicesOf(RowOf(judge_, row))).second) continue;
      picked_.emplace_back(row, who_ + " uncertain");
    }
    if (HasBoth()) PickDifferent(order);
    if (!order.empty()) Add(order.back(), who_ + " certain");
  }

  // Of one class the least certain one where they differ; else the one where they differ most.
  void PickDifferent(std::vector<int64_t> order) {
    const std::string why = "teacher and student differ";
    if (!answer_.one_class()) {
      std::vector<int64_t> differences;
      for (int64_t row = 0; row < count_; ++row) differences.push_back(DifferencesOf(row));
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return differences[static_cast<size_t>(a)] > differences[static_cast<size_t>(b)];
      });
    }
    for (const int64_t row : order) {
      if (DifferencesOf(row) == 0) continue;
      if (Add(row, why)) break;
    }
  }

  void PickValues() {
    std::vector<int64_t> order(static_cast<size_t>(count_));
    std::iota(order.begin(), order.end(), 0);
    if (!HasBoth()) {
      for (const int64_t row : order) {
        if (picked_.size() == kMostUncertain) break;
        Add(row, "one of the first");
      }
      return;
    }
    std::vector<double> distances;
    for (int64_t row = 0; row < count_; ++row) {
      const float* const a = RowOf(*question_.teacher, row);
      const float* const b = RowOf(*question_.student, row);
      double sum = 0;
      for (size_t i = 0; i < positions_ * width_; ++i) {
        sum += static_cast<double>(a[i] - b[i]) * static_cast<double>(a[i] - b[i]);
      }
      distances.push_back(sum);
    }
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return distances[static_cast<size_t>(a)] > distances[static_cast<size_t>(b)];
    });
    for (const int64_t row : order) {
      if (picked_.size() == kMostPicked) break;
      Add(row, "teacher and student differ");
    }
    if (!order.empty()) Add(order.back(), "teacher and student agree");
  }

  // The answer of the first `shown` positions, of many with fewer digits.
  Json Logits(const float* row, int64_t shown) const {
    constexpr double kDigits = 1e4;
    Json list = Json::array();
    for (size_t i = 0; i < static_cast<size_t>(shown) * width_; ++i) {
      if (answer_.positions.empty()) {
        list.push_back(row[i]);
      } else {
        list.push_back(std::round(kDigits * static_cast<double>(row[i])) / kDigits);
      }
    }
    return list;
  }

  int64_t ShownPositions(const Sample& sample) const {
    const auto positions = static_cast<int64_t>(positions_);
    const int64_t most = std::max<int64_t>(1, kMostNumbers / static_cast<int64_t>(width_));
    if (answer_.positions.size() == 1) return std::min(FilledLength(sample), most);
    // Half a picture would say little.
    return positions <= most ? positions : 0;
  }

  void AddPicture(const Sample& sample, Json* one) const {
    const bool masks = answer_.positions.size() == 2;
    std::optional<Image> picture =
        masks ? PictureOf(sample, answer_.positions[0], answer_.positions[1]) : PictureOf(sample);
    if (!picture.has_value() && IsSound(sample.spec)) {
      picture = DrawSound(sample.spec, std::get<std::vector<float>>(sample.inputs.front()).data());
    }
    if (!picture.has_value()) return;
    (*one)["shape"] = picture->shape.ToVector();
    std::vector<int> pixels(picture->pixels.begin(), picture->pixels.end());
    (*one)["pixels"] = std::move(pixels);
  }

  void AddInputs(const Sample& sample, Json* one) const {
    if (sample.spec.is_picture()) return;
    (*one)["inputs"] = Json::array();
    for (size_t i = 0; i < sample.inputs.size(); ++i) {
      const InputSpec& input = sample.spec.inputs[i];
      // Of sound there is a picture.
      const bool drawn = FormOf(input) == InputForm::kSeries && !IsSound(sample.spec) &&
                         input.elements() <= kMostDrawn;
      (*one)["inputs"].push_back(InputToJson(sample, i, drawn));
    }
  }

  void AddPositions(const Sample& sample, int64_t row, int64_t shown, Json* one) const {
    (*one)["positions"] = answer_.positions;
    (*one)["shown_position_count"] = shown;
    if (answer_.positions.size() == 1) {
      (*one)["tokens"] = Json::array();
      for (int64_t i = 0; i < shown; ++i) (*one)["tokens"].push_back(TokenAt(sample, i));
    }
    if (answer_.kind != AnswerKind::kClasses) return;
    if (!question_.teacher->empty()) {
      (*one)["teacher_choices"] = Choices(RowOf(*question_.teacher, row), shown);
    }
    if (!question_.student->empty()) {
      (*one)["student_choices"] = Choices(RowOf(*question_.student, row), shown);
    }
  }

  // Of tokens those that are shown, of pixels all.
  std::vector<int64_t> Choices(const float* row, int64_t shown) const {
    std::vector<int64_t> choices = ChoicesOf(row);
    if (answer_.positions.size() == 1) choices.resize(static_cast<size_t>(shown));
    return choices;
  }

  Json ToJson(const Sample& sample, int64_t row, const std::string& why) const {
    Json one;
    one["name"] = sample.name;
    one["why"] = why;
    if (answer_.one_class()) one["label"] = sample.label().value_or(-1);
    AddPicture(sample, &one);
    AddInputs(sample, &one);
    if (!entropies_.empty()) one["entropy"] = entropies_[static_cast<size_t>(row)];
    const int64_t shown = ShownPositions(sample);
    if (!answer_.positions.empty()) AddPositions(sample, row, shown, &one);
    if (!answer_.one_class() && answer_.kind == AnswerKind::kClasses) {
      std::vector<int64_t> labels = sample.labels;
      if (answer_.positions.size() == 1) labels.resize(static_cast<size_t>(shown));
      one["labels"] = labels;
    } else if (!sample.label_numbers.empty()) {
      std::vector<float> numbers = sample.label_numbers;
      numbers.resize(static_cast<size_t>(shown) * width_);
      one["label_numbers"] = numbers;
    }
    if (!question_.teacher->empty()) {
      one["teacher_logits"] = Logits(RowOf(*question_.teacher, row), shown);
    }
    if (!question_.student->empty()) {
      one["student_logits"] = Logits(RowOf(*question_.student, row), shown);
    }
    return one;
  }

  const SampleQuestion& question_;
  const AnswerSpec& answer_;
  const size_t width_;
  const size_t positions_;
  const std::vector<float>& judge_;
  const std::string who_;
  const int64_t count_;
  std::vector<double> entropies_;
  // Rows, and why they were picked.
  std::vector<std::pair<int64_t, std::string>> picked_;
};

}  // namespace

absl::StatusOr<Json> PickSamples(const SampleQuestion& question) { return Picker(question).Pick(); }

}  // namespace distillery
