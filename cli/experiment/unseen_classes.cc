#include "cli/experiment/unseen_classes.h"

#include <algorithm>

#include "cli/experiment/class_bias.h"

namespace distillery {
namespace {

double Percent(int64_t part, int64_t whole) {
  return whole > 0 ? 100 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

void UnseenErrors::Add(const std::vector<int32_t>& choices, const SplitLogits& logits,
                       const std::vector<int64_t>& unseen_classes) {
  int64_t samples = 0;
  int64_t errors = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (std::find(unseen_classes.begin(), unseen_classes.end(), logits.labels[i]) ==
        unseen_classes.end()) {
      continue;
    }
    ++samples;
    errors += choices[i] != logits.labels[i] ? 1 : 0;
  }
  const int64_t total = CountErrors(choices, logits.labels);
  all.push_back(static_cast<double>(total));
  unseen.push_back(static_cast<double>(errors));
  all_rate.push_back(Percent(total, logits.size()));
  unseen_rate.push_back(Percent(errors, samples));
  recall.push_back(Percent(samples - errors, samples));
}

UnseenErrors BiasedStudent::At(const std::vector<double>& biases, const Omission& omission) const {
  UnseenErrors errors;
  for (size_t seed = 0; seed < test.size(); ++seed) {
    const double bias = biases.empty() ? 0 : biases[seed];
    errors.Add(ChoicesWithBias(test[seed], omission.biased, bias), test[seed], omission.unseen);
  }
  return errors;
}

}  // namespace distillery
