#include "common/nn/answer_tally.h"

#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "common/run/answer_figures.h"

namespace distillery {
namespace {

// Where the samples of a batch are right at each position that counts.
class WholeSamples {
 public:
  WholeSamples(int64_t positions, const at::Tensor& rows)
      : positions_(positions), rows_(rows.data_ptr<int64_t>()), size_(rows.size(0)) {}
  // Of the row at this place among those that count, in their order.
  void Note(int64_t place, bool right) {
    const int64_t sample = rows_[place] / positions_;
    if (sample != sample_) count_ += sample_ >= 0 && whole_ ? 1 : 0;
    whole_ = right && (sample != sample_ ? true : whole_);
    sample_ = sample;
    right_rows_ += right ? 1 : 0;
  }
  // Notes one flag for each row, bool [rows].
  void NoteAll(const at::Tensor& flags) {
    const at::Tensor right = flags.contiguous();
    for (int64_t i = 0; i < size_; ++i) Note(i, right.data_ptr<bool>()[i]);
  }
  int64_t right_rows() const { return right_rows_; }
  int64_t count() const { return count_ + (sample_ >= 0 && whole_ ? 1 : 0); }

 private:
  const int64_t positions_;
  const int64_t* const rows_;
  const int64_t size_;
  int64_t sample_ = -1;
  bool whole_ = false;
  int64_t count_ = 0;
  int64_t right_rows_ = 0;
};

class ClassTally : public AnswerTally {
 public:
  ClassTally(const AnswerSpec& spec, int64_t classes) : AnswerTally(spec, classes) {
    if (classes <= kMostDetailedClasses) {
      metrics_.samples_per_class.resize(static_cast<size_t>(classes));
      metrics_.correct_per_class.resize(static_cast<size_t>(classes));
    }
    if (classes <= kMostConfusionClasses) {
      metrics_.confusion_matrix.resize(static_cast<size_t>(classes * classes));
    }
    if (spec.positions.size() == 2 && classes <= kMostDetailedClasses) {
      answered_.resize(static_cast<size_t>(classes));
    }
    metrics_.calibration_bins.resize(kCalibrationBins);
  }

  EvaluationMetrics Finish() override {
    const auto answers = static_cast<double>(metrics_.answer_count());
    metrics_.cross_entropy = cross_entropy_ / answers;
    metrics_.teacher_kl = teacher_kl_ / answers;
    std::vector<Occurrence> classes;
    for (size_t i = 0; i < answered_.size(); ++i) {
      classes.push_back(
          {metrics_.samples_per_class[i], answered_[i], metrics_.correct_per_class[i]});
    }
    const MeanOfSome iou = MeanIou(classes);
    metrics_.iou_class_count = iou.count;
    metrics_.mean_iou = iou.mean;
    return metrics_;
  }

 protected:
  void AddRows(const at::Tensor& logits, const at::Tensor& labels,
               const at::Tensor& rows) override {
    constexpr int64_t kTop = 5;
    const at::Tensor log_q = at::log_softmax(logits, 1);
    const auto [best, choice] = log_q.max(1);
    const at::Tensor of_label = log_q.gather(1, labels.unsqueeze(1));
    WholeSamples top(spec_.position_count(), rows);
    top.NoteAll(log_q.gt(of_label).sum(1).lt(kTop));
    metrics_.top5_count += top.count();
    cross_entropy_ -= of_label.sum(at::kDouble).item<double>();
    const at::Tensor confidence = best.exp();
    const auto* const confidences = confidence.data_ptr<float>();
    const auto* const choices = choice.data_ptr<int64_t>();
    const auto* const wanted = labels.data_ptr<int64_t>();
    WholeSamples whole(spec_.position_count(), rows);
    for (int64_t i = 0; i < labels.size(0); ++i) {
      const bool correct = choices[i] == wanted[i];
      whole.Note(i, correct);
      CountClass(wanted[i], choices[i]);
      CountConfidence(confidences[i], correct);
    }
    metrics_.correct_count += whole.count();
    if (spec_.positions.empty()) return;
    metrics_.correct_position_count += whole.right_rows();
    metrics_.top5_position_count += top.right_rows();
  }

  void AddTeacherRows(const at::Tensor& logits, const at::Tensor& teacher_logits,
                      const at::Tensor& rows) override {
    WholeSamples whole(spec_.position_count(), rows);
    whole.NoteAll(logits.argmax(1).eq(teacher_logits.argmax(1)));
    metrics_.agreement_count += whole.count();
    if (!spec_.positions.empty()) metrics_.agreement_position_count += whole.right_rows();
    const at::Tensor log_p = at::log_softmax(teacher_logits, 1);
    const at::Tensor difference = log_p - at::log_softmax(logits, 1);
    teacher_kl_ += (log_p.exp() * difference).sum(at::kDouble).item<double>();
  }

 private:
  void CountClass(int64_t label, int64_t choice) {
    if (!metrics_.samples_per_class.empty()) {
      metrics_.samples_per_class[static_cast<size_t>(label)] += 1;
      metrics_.correct_per_class[static_cast<size_t>(label)] += choice == label ? 1 : 0;
    }
    if (!metrics_.confusion_matrix.empty()) {
      ++metrics_.confusion_matrix[static_cast<size_t>(label * count_ + choice)];
    }
    if (!answered_.empty()) ++answered_[static_cast<size_t>(choice)];
  }

  void CountConfidence(float confidence, bool correct) {
    // It is NaN where weights have diverged, and NaN is no index.
    const float part = std::isnan(confidence) ? 0.0F : confidence;
    const auto bin = static_cast<int64_t>(part * static_cast<float>(kCalibrationBins));
    CalibrationBin& counted =
        metrics_.calibration_bins[static_cast<size_t>(std::min(bin, kCalibrationBins - 1))];
    ++counted.sample_count;
    counted.correct_count += correct ? 1 : 0;
    counted.confidence_sum += static_cast<double>(confidence);
  }

  double cross_entropy_ = 0;
  double teacher_kl_ = 0;
  // With positions [height, width]: how often each class was chosen.
  std::vector<int64_t> answered_;
};

class LabelTally : public AnswerTally {
 public:
  LabelTally(const AnswerSpec& spec, int64_t labels)
      : AnswerTally(spec, labels), occurrences_(static_cast<size_t>(labels)) {}

  EvaluationMetrics Finish() override {
    const auto answers = static_cast<double>(std::max<int64_t>(1, rows_ * count_));
    metrics_.cross_entropy = cross_entropy_ / answers;
    metrics_.teacher_kl = teacher_kl_ / answers;
    metrics_.label_count = count_;
    metrics_.micro_f1 = MicroF1(occurrences_);
    metrics_.macro_f1 = MacroF1(occurrences_).mean;
    if (count_ <= kMostDetailedClasses) {
      for (const Occurrence& label : occurrences_) {
        metrics_.samples_per_class.push_back(label.labelled);
        metrics_.correct_per_class.push_back(label.both);
        metrics_.f1_per_label.push_back(F1(label));
      }
    }
    if (rows_ * count_ <= kMostRankedAnswers) Rank();
    return metrics_;
  }

 protected:
  void AddRows(const at::Tensor& logits, const at::Tensor& labels,
               const at::Tensor& rows) override {
    const at::Tensor wanted = labels.to(at::kFloat).contiguous();
    cross_entropy_ +=
        at::binary_cross_entropy_with_logits(logits, wanted, {}, {}, at::Reduction::Sum)
            .item<double>();
    rows_ += logits.size(0);
    const bool ranks = rows_ * count_ <= kMostRankedAnswers;
    if (!ranks) ranked_ = {};
    WholeSamples whole(spec_.position_count(), rows);
    const auto* const scores = logits.data_ptr<float>();
    const auto* const bits = wanted.data_ptr<float>();
    for (int64_t row = 0; row < logits.size(0); ++row) {
      bool right = true;
      for (int64_t i = 0; i < count_; ++i) {
        const float score = scores[row * count_ + i];
        const bool bit = bits[row * count_ + i] > 0.5F;
        const bool answered = score > 0;
        right = right && answered == bit;
        Occurrence& label = occurrences_[static_cast<size_t>(i)];
        label.labelled += bit ? 1 : 0;
        label.answered += answered ? 1 : 0;
        label.both += bit && answered ? 1 : 0;
        if (ranks) ranked_.push_back({score, bit});
      }
      whole.Note(row, right);
    }
    metrics_.correct_count += whole.count();
    if (!spec_.positions.empty()) metrics_.correct_position_count += whole.right_rows();
  }

  void AddTeacherRows(const at::Tensor& logits, const at::Tensor& teacher,
                      const at::Tensor& rows) override {
    WholeSamples whole(spec_.position_count(), rows);
    whole.NoteAll(logits.gt(0).eq(teacher.gt(0)).all(1));
    metrics_.agreement_count += whole.count();
    if (!spec_.positions.empty()) metrics_.agreement_position_count += whole.right_rows();
    // p log(p / q) + (1 - p) log((1 - p) / (1 - q))
    const at::Tensor of_one = at::log_sigmoid(teacher) - at::log_sigmoid(logits);
    const at::Tensor of_none = at::log_sigmoid(-teacher) - at::log_sigmoid(-logits);
    teacher_kl_ += (at::sigmoid(teacher) * of_one + at::sigmoid(-teacher) * of_none)
                       .sum(at::kDouble)
                       .item<double>();
  }

 private:
  void Rank() {
    const auto stride = static_cast<size_t>(count_);
    double sum = 0;
    for (size_t label = 0; label < stride; ++label) {
      std::vector<RankedAnswer> answers;
      for (size_t i = label; i < ranked_.size(); i += stride) answers.push_back(ranked_[i]);
      const double precision = AveragePrecision(std::move(answers));
      if (occurrences_[label].labelled > 0) {
        ++metrics_.ranked_label_count;
        sum += precision;
      }
      if (!metrics_.f1_per_label.empty()) {
        metrics_.average_precision_per_label.push_back(precision);
      }
    }
    metrics_.mean_average_precision =
        sum / static_cast<double>(std::max<int64_t>(1, metrics_.ranked_label_count));
  }

  int64_t rows_ = 0;
  double cross_entropy_ = 0;
  double teacher_kl_ = 0;
  std::vector<Occurrence> occurrences_;
  // Row by row, up to kMostRankedAnswers.
  std::vector<RankedAnswer> ranked_;
};

class ValueTally : public AnswerTally {
 public:
  ValueTally(const AnswerSpec& spec, int64_t values)
      : AnswerTally(spec, values), sums_(static_cast<size_t>(values)) {}

  EvaluationMetrics Finish() override {
    const auto rows = static_cast<double>(std::max<int64_t>(1, rows_));
    const auto values = static_cast<double>(count_);
    metrics_.value_count = count_;
    for (const ValueSums& value : sums_) {
      metrics_.mean_squared_error += value.mean_squared_error() / values;
      metrics_.r2 += value.r2() / values;
      if (count_ > kMostDetailedClasses) continue;
      metrics_.mean_squared_error_per_value.push_back(value.mean_squared_error());
      metrics_.r2_per_value.push_back(value.r2());
    }
    metrics_.cosine = cosine_ / rows;
    metrics_.teacher_kl = teacher_error_ / (rows * values);
    return metrics_;
  }

 protected:
  void AddRows(const at::Tensor& answers, const at::Tensor& labels,
               const at::Tensor& /*rows*/) override {
    const at::Tensor wanted = labels.to(at::kFloat).contiguous();
    for (int64_t row = 0; row < answers.size(0); ++row) {
      const auto* const answer = answers.data_ptr<float>() + row * count_;
      const auto* const label = wanted.data_ptr<float>() + row * count_;
      for (int64_t i = 0; i < count_; ++i) sums_[static_cast<size_t>(i)].Add(answer[i], label[i]);
      cosine_ += Cosine(answer, label, count_);
    }
    rows_ += answers.size(0);
  }

  void AddTeacherRows(const at::Tensor& answers, const at::Tensor& teacher,
                      const at::Tensor& /*rows*/) override {
    teacher_error_ += (answers - teacher).square().sum(at::kDouble).item<double>();
  }

 private:
  int64_t rows_ = 0;
  double cosine_ = 0;
  double teacher_error_ = 0;
  std::vector<ValueSums> sums_;
};

template <typename Tally>
std::unique_ptr<AnswerTally> Make(const AnswerSpec& spec, int64_t count) {
  return std::make_unique<Tally>(spec, count);
}

using Maker = std::unique_ptr<AnswerTally> (*)(const AnswerSpec& spec, int64_t count);
// In the order of AnswerKind.
constexpr Maker kMakers[] = {&Make<ClassTally>, &Make<LabelTally>, &Make<ValueTally>};
static_assert(std::size(kMakers) == std::size(kAnswerKinds));

// Where the rows that have a label lie, int64.
at::Tensor CountedRows(const at::Tensor& labels, AnswerKind kind) {
  const at::Tensor counts =
      SpecOf(kind).labels_each ? labels.select(1, 0).isnan().logical_not() : labels.ge(0);
  return counts.nonzero().squeeze(1);
}

}  // namespace

std::unique_ptr<AnswerTally> AnswerTally::Create(const AnswerSpec& spec, int64_t count) {
  return kMakers[static_cast<int>(spec.kind)](spec, count);
}

void AnswerTally::Add(const at::Tensor& answers, const at::Tensor& labels,
                      const at::Tensor& teacher) {
  const at::Tensor all = answers.reshape({-1, count_});
  const at::Tensor all_labels =
      SpecOf(spec_.kind).labels_each ? labels.reshape({-1, count_}) : labels.reshape({-1});
  const at::Tensor rows = CountedRows(all_labels, spec_.kind);
  const bool each = rows.size(0) == all.size(0);
  const auto counted = [&](const at::Tensor& tensor) {
    return each ? tensor : tensor.index_select(0, rows);
  };
  metrics_.sample_count += all.size(0) / spec_.position_count();
  if (!spec_.positions.empty()) metrics_.position_count += rows.size(0);
  const at::Tensor logits = counted(all);
  AddRows(logits, counted(all_labels), rows);
  if (!teacher.defined()) return;
  metrics_.agreement_count = std::max<int64_t>(0, metrics_.agreement_count);
  AddTeacherRows(logits, counted(teacher.reshape({-1, count_})), rows);
}

}  // namespace distillery
