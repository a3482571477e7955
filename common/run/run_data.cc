#include "common/run/run_data.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/architecture_plan.h"
#include "common/run/replica_plan.h"
#include "common/run/sample_selection.h"

namespace distillery {

absl::Status CheckFitsData(const RunSpec& spec, const ImageShape& shape, int64_t class_count) {
  if (!spec.student_is_file()) {
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(PlanArchitecture(spec.student.architecture, shape, class_count).status(),
                 "student.architecture"));
  }
  if (spec.needs_teacher()) {
    DISTILLERY_RETURN_IF_ERROR(
        Annotate(spec.soft_target_format().Validate(class_count), "soft_targets"));
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
  return absl::OkStatus();
}

absl::Status CheckFitsData(const RunSpec& spec, const Dataset& training) {
  DISTILLERY_RETURN_IF_ERROR(CheckFitsData(spec, training.shape(), training.class_count()));
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSelection selection,
                              SampleSelection::Create(spec, training));
  return PlanReplica(spec, selection.shard_sizes(), /*round=*/0, /*replica=*/0).status();
}

absl::Status CheckTeacherFitsData(const std::string& teacher, const ImageShape& shape,
                                  int64_t class_count, const std::string& dataset,
                                  const ImageShape& data_shape, int64_t data_class_count) {
  const auto describe = [](const ImageShape& images, int64_t classes) {
    return absl::StrCat("images of ", absl::StrJoin(images.ToVector(), " x "), " in ", classes,
                        " classes");
  };
  if (shape == data_shape && class_count == data_class_count) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(teacher, " is for ", describe(shape, class_count),
                                                 ", data set ", dataset, " has ",
                                                 describe(data_shape, data_class_count)));
}

}  // namespace distillery
