// A transfer set that leaves classes out, and how students of it do on those.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/models/split_logits.h"

namespace distillery {

// One transfer set.
struct Omission {
  std::vector<int64_t> unseen;
  // Whose bias is moved: the unseen class, or the seen ones where those are fewer.
  std::vector<int64_t> biased;
  // "without class 3"
  std::string name;
  // The end of the names of its runs.
  std::string suffix;
};

// Errors of all samples, and of those of the unseen classes; one value for each seed.
struct UnseenErrors {
  std::vector<double> all;
  std::vector<double> unseen;
  // Per cent.
  std::vector<double> all_rate;
  std::vector<double> unseen_rate;
  std::vector<double> recall;

  // Adds the errors of one seed.
  void Add(const std::vector<int32_t>& choices, const SplitLogits& logits,
           const std::vector<int64_t>& unseen_classes);
};

// A student over seeds: its answers on the test split, and biases for it.
struct BiasedStudent {
  std::vector<SplitLogits> test;
  // Fitted without the test split.
  std::vector<double> fitted;
  // The best for the test split, as the paper takes it.
  std::vector<double> best;

  // `biases`: one for each seed; empty: 0.
  UnseenErrors At(const std::vector<double>& biases, const Omission& omission) const;
};

}  // namespace distillery
