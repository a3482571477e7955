#include "cli/runs/run_data.h"

#include "absl/strings/str_cat.h"
#include "cli/runs/teacher_query.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"
#include "common/rpc/status_conversion.h"
#include "common/run/run_data.h"

namespace distillery {
namespace {

constexpr char kBuiltIn[] = "digits";

}  // namespace

absl::Status RunDataCheck::Check(RunSpec* of_run) {
  const RunSpec& spec = *of_run;
  if (spec.dataset.name == kBuiltIn || !options_.data_dir.empty()) return CheckHere(of_run);
  // The runs of a sweep have one data set: nobody waits for an absent teacher twice.
  if (unchecked_.count(spec.dataset.name) > 0 && spec.dataset.exclude_class_names.empty()) {
    return absl::OkStatus();
  }
  const auto unchecked = [&](absl::string_view why) -> absl::Status {
    unchecked_.insert(spec.dataset.name);
    if (!spec.dataset.exclude_class_names.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "dataset.exclude_classes names ", PlainText(spec.dataset.exclude_class_names.front()),
          ", and the classes of data set ", spec.dataset.name, " cannot be looked at: ", why,
          "; name a folder with --data-dir or a teacher with --teacher, or write numbers"));
    }
    LogWarning(
        "the run is not checked against data set {}: {}; name a folder with --data-dir or "
        "a teacher with --teacher, or the first task will say what does not fit",
        spec.dataset.name, std::string(why));
    return absl::OkStatus();
  };
  if (options_.teacher.empty()) return unchecked("it is not here");
  absl::Status status = CheckAtTeacher(of_run);
  if (options_.teacher_is_named) return status;
  // A run without a teacher may be done by workers that have data of their own; and what listens
  // there may be no teacher at all.
  const bool unsure = NobodyAnswered(status) || absl::IsUnauthenticated(status) ||
                      absl::IsPermissionDenied(status) || absl::IsResourceExhausted(status) ||
                      absl::IsUnimplemented(status) || absl::IsUnknown(status) ||
                      absl::IsInternal(status) ||
                      (absl::IsNotFound(status) && !spec.needs_teacher());
  if (unsure) return unchecked(status.message());
  return Annotate(status, absl::StrCat("the teacher at ", options_.teacher,
                                       " (another one: --teacher HOST:PORT)"));
}

absl::Status RunDataCheck::CheckHere(RunSpec* of_run) {
  const RunSpec& spec = *of_run;
  DISTILLERY_ASSIGN_OR_RETURN(const auto training, catalog_.Open(spec.TrainingData()));
  DISTILLERY_RETURN_IF_ERROR(catalog_.Open(spec.EvaluationData()).status());
  if (spec.guarded()) DISTILLERY_RETURN_IF_ERROR(catalog_.Open(spec.HeldOutData()).status());
  DISTILLERY_RETURN_IF_ERROR(ResolveClassNames(training->class_names(), of_run));
  return CheckFitsData(spec, *training);
}

absl::Status RunDataCheck::CheckAtTeacher(RunSpec* of_run) const {
  const RunSpec& spec = *of_run;
  DISTILLERY_ASSIGN_OR_RETURN(const TeacherQuery query,
                              TeacherQuery::Connect(options_.teacher, options_.transport));
  DISTILLERY_ASSIGN_OR_RETURN(const auto data, query.DescribeDataset(spec.TrainingData()));
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSpec samples, SamplesOf(data));
  DISTILLERY_RETURN_IF_ERROR(
      ResolveClassNames({data.class_names().begin(), data.class_names().end()}, of_run));
  DISTILLERY_RETURN_IF_ERROR(CheckFitsData(spec, samples, data.class_names_size()));
  if (!spec.needs_teacher()) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(const v1::Teacher teacher, query.Describe());
  DISTILLERY_ASSIGN_OR_RETURN(const SampleSpec taken, SamplesOf(teacher));
  return CheckTeacherFitsData(absl::StrCat("its model ", teacher.model_name()),
                              {taken, teacher.class_names_size()}, spec.dataset.name,
                              {samples, data.class_names_size()});
}

}  // namespace distillery
