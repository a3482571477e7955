#include "common/run/run_data.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/data/augmentation.h"
#include "common/data/picture_sizes.h"
#include "common/model/architecture_plan.h"
#include "common/run/answer_check.h"
#include "common/run/replica_plan.h"
#include "common/run/sample_selection.h"

namespace distillery {

absl::StatusOr<SampleSpec> StudentSamples(const RunSpec& spec, const SampleSpec& data) {
  const std::vector<int64_t>& picture = spec.student.picture;
  if (picture.empty()) return data;
  absl::StatusOr<SampleSpec> samples = Shrunk(data, picture[0], picture[1]);
  if (!samples.ok()) return Annotate(samples.status(), "student.picture");
  return samples;
}

absl::Status ResolveClassNames(const std::vector<std::string>& class_names, RunSpec* spec) {
  std::vector<int64_t>& classes = spec->dataset.exclude_classes;
  for (const std::string& name : spec->dataset.exclude_class_names) {
    const auto found = std::find(class_names.begin(), class_names.end(), name);
    if (found == class_names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("dataset.exclude_classes: ", UnknownName("class", name, class_names)));
    }
    const int64_t number = found - class_names.begin();
    if (std::find(classes.begin(), classes.end(), number) != classes.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "dataset.exclude_classes names class ", PlainText(name), ", number ", number, ", twice"));
    }
    classes.push_back(number);
  }
  spec->dataset.exclude_class_names.clear();
  return absl::OkStatus();
}

absl::Status CheckFitsData(const RunSpec& spec, const SampleSpec& samples, int64_t class_count) {
  DISTILLERY_ASSIGN_OR_RETURN(const Augmentation augmentation,
                              Augmentation::Parse(spec.dataset.augmentation));
  DISTILLERY_RETURN_IF_ERROR(
      Annotate(augmentation.CheckSuits(samples, spec.dataset.name), "dataset.augmentation"));
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSpec taken, StudentSamples(spec, samples));
  if (!spec.student_is_file()) {
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(PlanArchitecture(spec.student.architecture, taken, class_count).status(),
                 "student.architecture"));
  }
  if (spec.needs_teacher()) {
    DISTILLERY_RETURN_IF_ERROR(Annotate(
        spec.soft_target_format(samples.answer.kind).Validate({samples.answer, class_count}),
        "soft_targets"));
  }
  const std::set<int64_t> excluded(spec.dataset.exclude_classes.begin(),
                                   spec.dataset.exclude_classes.end());
  if (!excluded.empty() && *excluded.rbegin() >= class_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.exclude_classes names class ", *excluded.rbegin(), ", data set ",
                     spec.dataset.name, " has classes 0 to ", class_count - 1));
  }
  if (static_cast<int64_t>(excluded.size()) == class_count) {
    return absl::InvalidArgumentError("dataset.exclude_classes leaves no class to train on");
  }
  return CheckFitsAnswers(spec, samples.answer);
}

absl::Status CheckFitsData(const RunSpec& spec, const Dataset& training) {
  DISTILLERY_RETURN_IF_ERROR(CheckFitsData(spec, training.spec(), training.class_count()));
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSelection selection,
                              SampleSelection::Create(spec, training));
  return PlanReplica(spec, selection.shard_sizes(), /*round=*/0, /*replica=*/0).status();
}

absl::Status CheckTeacherFitsData(const std::string& teacher, const SamplesAndAnswers& taken,
                                  const std::string& dataset, const SamplesAndAnswers& data) {
  const bool images = taken.samples.is_picture_by_class() && data.samples.is_picture_by_class();
  const SampleSpec shown = InSizesOf(taken.samples.inputs, data.samples);
  // What a pixel's largest value is does not show in what a model takes.
  const bool same =
      images ? taken.samples.picture_shape() == shown.picture_shape() : taken.samples == shown;
  if (same && taken.class_count == data.class_count) return absl::OkStatus();
  const auto describe = [&](const SamplesAndAnswers& what) {
    if (!images) {
      return absl::StrCat(what.samples.ToString(), " (", what.class_count, " ",
                          SpecOf(what.samples.answer.kind).noun, ")");
    }
    return absl::StrCat("images of ", absl::StrJoin(what.samples.picture_shape().ToVector(), " x "),
                        " in ", what.class_count, " classes");
  };
  return absl::InvalidArgumentError(absl::StrCat(
      teacher, " is for ", describe(taken), ", data set ", dataset, images ? " has " : " is ",
      describe(data), DescribeGrowth(taken.samples.inputs, data.samples)));
}

}  // namespace distillery
