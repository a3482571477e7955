// Adds up what an evaluation measures, batch by batch; what it is for each kind of answer:
// EvaluationMetrics in metrics.proto.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>

#include "common/data/sample_spec.h"
#include "common/run/evaluation_metrics.h"

namespace distillery {

// Not thread-safe.
class AnswerTally {
 public:
  // For answers of `count` numbers: classes, labels or values.
  static std::unique_ptr<AnswerTally> Create(const AnswerSpec& spec, int64_t count);
  virtual ~AnswerTally() = default;

  // The answers to whole samples, float32 [samples, positions..., count]: logits, or values.
  // Labels: of classes int64 [rows], -100 for a position that does not count; else a number for
  // each of a row's [rows, count]: bits, or float32 of which a row that begins with NaN does not
  // count. Any sizes that flatten to these will do. `teacher`: its answers at T = 1 to the same
  // samples, or undefined. All contiguous and on the CPU.
  void Add(const at::Tensor& answers, const at::Tensor& labels, const at::Tensor& teacher);
  virtual EvaluationMetrics Finish() = 0;

 protected:
  AnswerTally(const AnswerSpec& spec, int64_t count) : spec_(spec), count_(count) {}
  // The answers that count [rows, count] and their labels. rows: where each lies among all of this
  // batch, int64.
  virtual void AddRows(const at::Tensor& answers, const at::Tensor& labels,
                       const at::Tensor& rows) = 0;
  virtual void AddTeacherRows(const at::Tensor& answers, const at::Tensor& teacher,
                              const at::Tensor& rows) = 0;

  const AnswerSpec spec_;
  const int64_t count_;
  EvaluationMetrics metrics_;
};

}  // namespace distillery
