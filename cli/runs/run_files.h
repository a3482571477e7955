// The files that a RunSpec names, looked at before the run is submitted: what cannot work is
// refused where its author sees it, not by a worker some time later.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/run/run_spec.h"

namespace distillery {

// FAILED_PRECONDITION for a student's file that cannot be trained (common/nn/student_check.h),
// and for a teacher, a student or initial weights whose cards name other classes than the data, or
// than each other (CheckSameClasses). Data and a teacher that are not on this machine are checked
// by the services. `teacher`: the teacher's file, or "". REQUIRES: ResolveStudent has completed the
// paths in the spec.
absl::Status CheckRunFiles(const RunSpec& spec, const std::string& teacher,
                           const std::string& data_dir);

}  // namespace distillery
