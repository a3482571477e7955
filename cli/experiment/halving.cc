#include "cli/experiment/halving.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace distillery {

std::vector<size_t> BetterHalf(const std::vector<Score>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::tie(scores[a].errors, scores[a].cross_entropy) <
           std::tie(scores[b].errors, scores[b].cross_entropy);
  });
  order.resize((scores.size() + 1) / 2);
  return order;
}

std::vector<int64_t> HalvingRounds(size_t candidates) {
  std::vector<int64_t> rounds;
  for (int64_t next = 1; candidates > 1; next *= 2) {
    rounds.push_back(next);
    candidates = (candidates + 1) / 2;
  }
  return rounds;
}

}  // namespace distillery
