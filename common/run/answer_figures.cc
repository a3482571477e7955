#include "common/run/answer_figures.h"

#include <algorithm>
#include <cmath>

namespace distillery {
namespace {

double Ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

MeanOfSome MeanOverOccurring(const std::vector<Occurrence>& all,
                             double (*figure)(const Occurrence& occurrence)) {
  MeanOfSome result;
  for (const Occurrence& one : all) {
    if (!one.occurs()) continue;
    result.mean += figure(one);
    ++result.count;
  }
  if (result.count > 0) result.mean /= static_cast<double>(result.count);
  return result;
}

}  // namespace

double F1(const Occurrence& occurrence) {
  return Ratio(2 * occurrence.both, occurrence.labelled + occurrence.answered);
}

double Iou(const Occurrence& occurrence) {
  return Ratio(occurrence.both, occurrence.labelled + occurrence.answered - occurrence.both);
}

double MicroF1(const std::vector<Occurrence>& labels) {
  Occurrence sum;
  for (const Occurrence& label : labels) {
    sum.labelled += label.labelled;
    sum.answered += label.answered;
    sum.both += label.both;
  }
  return F1(sum);
}

MeanOfSome MacroF1(const std::vector<Occurrence>& labels) { return MeanOverOccurring(labels, &F1); }

MeanOfSome MeanIou(const std::vector<Occurrence>& classes) {
  return MeanOverOccurring(classes, &Iou);
}

double AveragePrecision(std::vector<RankedAnswer> answers) {
  // NaN, of weights that have diverged, comes last: it would be no order.
  const auto rank = [](const RankedAnswer& answer) {
    return std::isnan(answer.score) ? -HUGE_VALF : answer.score;
  };
  std::sort(answers.begin(), answers.end(),
            [&](const RankedAnswer& a, const RankedAnswer& b) { return rank(a) > rank(b); });
  int64_t right = 0;
  for (const RankedAnswer& answer : answers) right += answer.right ? 1 : 0;
  double sum = 0;
  int64_t above = 0;
  int64_t right_above = 0;
  for (size_t i = 0; i < answers.size();) {
    const float threshold = rank(answers[i]);
    int64_t gained = 0;
    for (; i < answers.size() && rank(answers[i]) == threshold; ++i) {
      ++above;
      gained += answers[i].right ? 1 : 0;
    }
    right_above += gained;
    sum += Ratio(gained, right) * Ratio(right_above, above);
  }
  return sum;
}

void ValueSums::Add(double answer, double label) {
  ++count_;
  residual_ += (label - answer) * (label - answer);
  // Welford's: sums of squares would lose a narrow range far from 0.
  const double before = label - mean_;
  mean_ += before / static_cast<double>(count_);
  spread_ += before * (label - mean_);
}

double ValueSums::mean_squared_error() const {
  return count_ == 0 ? 0 : residual_ / static_cast<double>(count_);
}

double ValueSums::r2() const {
  if (spread_ > 0) return 1 - residual_ / spread_;
  return residual_ == 0 ? 1 : residual_ - residual_;  // 0, or NaN for answers that are none
}

double Cosine(const float* a, const float* b, int64_t count) {
  double product = 0;
  double a_squared = 0;
  double b_squared = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double x = a[i];
    const double y = b[i];
    product += x * y;
    a_squared += x * x;
    b_squared += y * y;
  }
  if (a_squared == 0 || b_squared == 0) return 0;
  return product / std::sqrt(a_squared) / std::sqrt(b_squared);
}

}  // namespace distillery
