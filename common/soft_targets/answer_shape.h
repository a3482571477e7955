// The answers of one sample: what a row of logits, and of soft targets made of them, holds.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "common/data/sample_spec.h"

namespace distillery {

struct AnswerShape {
  AnswerSpec answer;
  // Classes, labels or values of one position.
  int64_t classes = 0;

  // One answer for a sample, of so many classes: a number says it all.
  AnswerShape(int64_t class_count) : classes(class_count) {}  // NOLINT
  AnswerShape(AnswerSpec answers, int64_t class_count)
      : answer(std::move(answers)), classes(class_count) {}

  // 1 where there is one answer for a sample.
  int64_t positions() const { return answer.position_count(); }
  // Numbers of a row.
  int64_t values() const { return positions() * classes; }
  // [rows, positions...]
  std::vector<int64_t> SizesFor(int64_t rows) const {
    std::vector<int64_t> sizes = {rows};
    sizes.insert(sizes.end(), answer.positions.begin(), answer.positions.end());
    return sizes;
  }
};

}  // namespace distillery
