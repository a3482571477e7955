// Checks whether a run fits its data set before it begins, so that whoever submits it is told at
// once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/data/dataset.h"
#include "common/run/run_spec.h"

namespace distillery {

// What the run's student takes of such data: the same, with pictures in the size of student.picture
// if that is set. INVALID_ARGUMENT, naming the field and both sizes, if the data has no pictures or
// smaller ones. REQUIRES: the spec is valid.
absl::StatusOr<SampleSpec> StudentSamples(const RunSpec& spec, const SampleSpec& data);

// Puts the numbers of the classes in the place of their names in dataset.exclude_classes.
// INVALID_ARGUMENT for a name that the data set has not, with the nearest one, and for a class that
// is there twice.
absl::Status ResolveClassNames(const std::vector<std::string>& class_names, RunSpec* spec);

// INVALID_ARGUMENT naming the field whose value does not fit samples of that kind, of which each
// answer has `class_count` numbers: the augmentation, the architecture's sizes, top_k, the classes
// left out. REQUIRES: the spec is valid.
absl::Status CheckFitsData(const RunSpec& spec, const SampleSpec& samples, int64_t class_count);
// The same for the training split; also checks that each replica gets samples.
absl::Status CheckFitsData(const RunSpec& spec, const Dataset& training);

// What samples are, and how many classes, labels or values an answer has.
struct SamplesAndAnswers {
  SampleSpec samples;
  int64_t class_count = 0;
};

// INVALID_ARGUMENT if a teacher that takes and gives `taken` does not fit `data`, of which its
// pictures may be smaller ones (picture_sizes.h); `teacher` names it in the message.
absl::Status CheckTeacherFitsData(const std::string& teacher, const SamplesAndAnswers& taken,
                                  const std::string& dataset, const SamplesAndAnswers& data);

}  // namespace distillery
