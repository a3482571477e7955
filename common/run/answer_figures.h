// The figures of evaluations, from counts, ranks and sums. Pure, without LibTorch.
#pragma once

#include <cstdint>
#include <vector>

namespace distillery {

// How often a class, or a label of several, is there and is answered.
struct Occurrence {
  int64_t labelled = 0;
  int64_t answered = 0;
  // At the same place.
  int64_t both = 0;

  bool occurs() const { return labelled + answered > 0; }
};

// The harmonic mean of precision and recall, 0 to 1; 0 for what does not occur.
double F1(const Occurrence& occurrence);
// Intersection over union, 0 to 1; 0 for what does not occur.
double Iou(const Occurrence& occurrence);
// Of the sums of all.
double MicroF1(const std::vector<Occurrence>& labels);

struct MeanOfSome {
  // 0 where there is nothing to take it of.
  double mean = 0;
  int64_t count = 0;
};

// Means over those that occur: what is neither labelled nor answered says nothing.
MeanOfSome MacroF1(const std::vector<Occurrence>& labels);
MeanOfSome MeanIou(const std::vector<Occurrence>& classes);

struct RankedAnswer {
  float score = 0;
  bool right = false;
};

// sum_n (R_n - R_{n-1}) P_n over the thresholds from high to low, R being recall and P precision;
// equal scores are one threshold (as sklearn.metrics.average_precision_score). 0 where none is
// right.
double AveragePrecision(std::vector<RankedAnswer> answers);

// One of the numbers of values: how far the answers lie from the labels.
class ValueSums {
 public:
  void Add(double answer, double label);
  // 0 without an answer.
  double mean_squared_error() const;
  // 1 - SS_res / SS_tot, at most 1. Labels that are all alike have no SS_tot: 1 if every answer is
  // exact, else 0.
  double r2() const;

 private:
  int64_t count_ = 0;
  double residual_ = 0;
  double mean_ = 0;
  // Sum of the squared distances of the labels from their mean.
  double spread_ = 0;
};

// The cosine of the angle between two vectors of `count` numbers, -1 to 1; 0 if one has no length.
double Cosine(const float* a, const float* b, int64_t count);

}  // namespace distillery
