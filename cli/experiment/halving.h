// Successive halving: which candidates are worth training longer (Jamieson and Talwalkar 2016,
// "Non-stochastic best arm identification and hyperparameter optimization").
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace distillery {

struct Score {
  // Decides between equal errors.
  double errors = 0;
  double cross_entropy = 0;
};

// Positions of the better half, rounded up, the best first; of equals the first.
std::vector<size_t> BetterHalf(const std::vector<Score>& scores);

// Rounds of each rung until one of `candidates` is left: 1, 2, 4 ...
std::vector<int64_t> HalvingRounds(size_t candidates);

}  // namespace distillery
