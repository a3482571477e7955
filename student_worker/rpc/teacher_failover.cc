#include "student_worker/rpc/teacher_failover.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

// How long a wait may overlook that it is cancelled.
constexpr absl::Duration kCancelPoll = absl::Milliseconds(50);

bool IsPassing(const absl::Status& status) {
  return NobodyAnswered(status) || absl::IsAborted(status) || absl::IsResourceExhausted(status) ||
         absl::IsPermissionDenied(status) ||
         // Not let in, which is this worker's trouble and not the run's: somebody may help.
         absl::IsUnauthenticated(status);
}

}  // namespace

AnyTeacher::AnyTeacher(TeacherChannels* teachers, std::function<void(const std::string&)> waiting)
    : teachers_(teachers), waiting_(std::move(waiting)) {}

absl::Status AnyTeacher::Ask(const std::string& what, TeacherSet::Question* question,
                             const CancelCheck& cancelled, const Call& call) {
  std::string told;
  while (!cancelled()) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::optional<TeacherChannels::Teacher> teacher,
                                teachers_->Pick(*question));
    if (teacher.has_value()) {
      const Answer answer = call(teacher->channel);
      if (cancelled()) break;
      Learn(what, *teacher, answer, question);
      if (!answer.status.ok()) continue;
      if (!told.empty()) waiting_("");
      return absl::OkStatus();
    }
    const TeacherSet::Outlook outlook = teachers_->set().Consider(*question);
    if (!outlook.status.ok()) {
      if (!told.empty()) waiting_("");
      return outlook.status;
    }
    if (!outlook.waiting_for.empty() && outlook.waiting_for != told) {
      if (told.empty()) LogWarning("no teacher answers for {}; waiting", what);
      told = outlook.waiting_for;
      waiting_(absl::StrCat("waiting for ", told));
      if (cancelled()) break;
    }
    teachers_->set().AwaitNews(std::min(outlook.wait, kCancelPoll));
  }
  return absl::CancelledError("cancelled");
}

void AnyTeacher::Learn(const std::string& what, const TeacherChannels::Teacher& asked,
                       const Answer& answer, TeacherSet::Question* question) {
  const TeacherAddress& teacher = asked.address;
  TeacherSet& set = teachers_->set();
  const std::string message(answer.status.message());
  if (answer.status.ok()) {
    if (set.Succeeded(teacher.target)) LogInfo("teacher {} is back", teacher.label);
  } else if (!answer.other_digest.empty()) {
    if (set.LeaveOut(teacher.target, question->teacher_digest, answer.other_digest)) {
      LogWarning("teacher {} is left out: its digest is {}, expected {}", teacher.label,
                 answer.other_digest, question->teacher_digest);
    }
  } else if (!answer.final && IsPassing(answer.status)) {
    if (set.Failed(teacher.target, answer.status, answer.progress)) {
      const absl::Status cause = asked.connection->Explain(answer.status);
      LogWarning("teacher {}: {}", teacher.label, std::string(cause.message()));
    }
  } else {
    LogDebug("teacher {} refuses {}: {}", teacher.label, what, message);
    question->refusals.emplace(teacher.target, answer.status);
  }
}

}  // namespace distillery
