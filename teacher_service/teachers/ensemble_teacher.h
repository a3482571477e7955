// Several teachers that answer as one (Hinton, Vinyals, Dean 2015, section 1: an ensemble is the
// classical teacher).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

struct EnsembleOptions {
  enum class Mean {
    // logits = log(sum_i w_i softmax(z_i)): the arithmetic mean of the probabilities at T = 1; of
    // labels the same with each one's sigmoid. Values have none: their mean is kLogits.
    kProbabilities,
    // logits = sum_i w_i z_i: the geometric mean.
    kLogits
  };
  Mean mean = Mean::kProbabilities;
  std::vector<EnsembleMember> members;
};

// Reads "a:0.7,b:0.3" or "a,b" (equal weights); weights are scaled to sum to 1. INVALID_ARGUMENT
// for an empty name, a name twice, or a weight that is not finite and > 0.
absl::StatusOr<std::vector<EnsembleMember>> ParseEnsembleMembers(const std::string& text);

// `teachers` in the order of options.members. FAILED_PRECONDITION if inputs, classes or batch cuts
// of two of them differ. The digest covers the members' digests, weights and kind of mean.
absl::StatusOr<std::shared_ptr<Teacher>> MakeEnsembleTeacher(
    const std::string& name, const EnsembleOptions& options,
    std::vector<std::shared_ptr<Teacher>> teachers);

}  // namespace distillery
