#include "cli/experiment/class_bias.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace distillery {
namespace {

// The best of the classes with bias, and the best of the others.
struct Rivals {
  int32_t biased = -1;
  int32_t other = -1;
  // The bias from which on `biased` is chosen.
  double threshold = 0;
};

Rivals FindRivals(const float* row, int64_t class_count, const std::vector<bool>& is_biased) {
  Rivals rivals;
  for (int32_t c = 0; c < class_count; ++c) {
    int32_t& best = is_biased[static_cast<size_t>(c)] ? rivals.biased : rivals.other;
    if (best < 0 || row[c] > row[best]) best = c;
  }
  rivals.threshold =
      static_cast<double>(row[rivals.other]) - static_cast<double>(row[rivals.biased]);
  return rivals;
}

std::vector<bool> Flags(const std::vector<int64_t>& classes, int64_t class_count) {
  std::vector<bool> flags(static_cast<size_t>(class_count), false);
  for (const int64_t c : classes) flags[static_cast<size_t>(c)] = true;
  return flags;
}

}  // namespace

std::vector<int32_t> ChoicesWithBias(const SplitLogits& logits, const std::vector<int64_t>& classes,
                                     double bias) {
  const std::vector<bool> is_biased = Flags(classes, logits.class_count);
  std::vector<int32_t> choices;
  choices.reserve(logits.labels.size());
  for (int64_t sample = 0; sample < logits.size(); ++sample) {
    const Rivals rivals = FindRivals(logits.Row(sample), logits.class_count, is_biased);
    choices.push_back(bias >= rivals.threshold ? rivals.biased : rivals.other);
  }
  return choices;
}

double FitBias(const SplitLogits& logits, const std::vector<int64_t>& classes,
               const std::vector<int32_t>& wanted) {
  constexpr double kEnd = std::numeric_limits<double>::infinity();
  const std::vector<bool> is_biased = Flags(classes, logits.class_count);
  // Where errors change as the bias rises, and by how much.
  std::vector<std::pair<double, int>> steps;
  for (int64_t sample = 0; sample < logits.size(); ++sample) {
    const Rivals rivals = FindRivals(logits.Row(sample), logits.class_count, is_biased);
    const int32_t right = wanted[static_cast<size_t>(sample)];
    if (right == rivals.biased) steps.emplace_back(rivals.threshold, -1);
    if (right == rivals.other) steps.emplace_back(rivals.threshold, 1);
  }
  std::sort(steps.begin(), steps.end());
  // Relative to a bias below all steps.
  int64_t errors = 0;
  int64_t fewest = std::numeric_limits<int64_t>::max();
  double best_low = 0;
  double best_high = 0;
  double low = -kEnd;
  for (size_t i = 0; i <= steps.size(); ++i) {
    const double high = i < steps.size() ? steps[i].first : kEnd;
    if (high > low) {
      const bool holds_zero = low <= 0 && 0 < high;
      const bool best_holds_zero = best_low <= 0 && 0 < best_high;
      if (errors < fewest || (errors == fewest && !best_holds_zero &&
                              (holds_zero || high - low > best_high - best_low))) {
        fewest = errors;
        best_low = low;
        best_high = high;
      }
    }
    if (i < steps.size()) errors += steps[i].second;
    low = high;
  }
  if (best_low <= 0 && 0 < best_high) return 0;
  if (best_low == -kEnd) return best_high - 1;
  if (best_high == kEnd) return best_low + 1;
  return best_low + (best_high - best_low) / 2;
}

}  // namespace distillery
