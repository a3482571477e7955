#include "student_worker/teachers/teacher_set.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace distillery {

TeacherSet::TeacherSet(std::unique_ptr<TeacherAddresses> addresses, const Options& options)
    : options_(options), addresses_(std::move(addresses)) {}

void TeacherSet::Refresh() {
  std::set<std::string> current;
  for (const TeacherAddress& address : addresses_->Current()) {
    current.insert(address.target);
    teachers_[address.target].address = address;
  }
  for (auto teacher = teachers_.begin(); teacher != teachers_.end();) {
    teacher = current.count(teacher->first) == 0 ? teachers_.erase(teacher) : std::next(teacher);
  }
}

bool TeacherSet::IsLeftOut(const Teacher& teacher, const std::string& digest) {
  const auto left_out = teacher.left_out.find(digest);
  return left_out != teacher.left_out.end() && options_.clock->SteadyNow() < left_out->second.until;
}

std::optional<TeacherAddress> TeacherSet::Pick(const Question& question) {
  MutexLock lock(mutex_);
  Refresh();
  std::vector<std::string> live;
  for (const auto& [target, teacher] : teachers_) {
    const bool resting =
        !teacher.failure.ok() && options_.clock->SteadyNow() < teacher.failed_until;
    if (!resting && question.refusals.count(target) == 0 &&
        !IsLeftOut(teacher, question.teacher_digest)) {
      live.push_back(target);
    }
  }
  if (live.empty()) return std::nullopt;
  return teachers_.at(RendezvousOrder(question.key, std::move(live)).front()).address;
}

TeacherSet::Outlook TeacherSet::Consider(const Question& question) {
  MutexLock lock(mutex_);
  Outlook outlook;
  outlook.wait = absl::InfiniteDuration();
  std::vector<std::string> awaited;
  // Before Refresh: a look-up that ends in between then shows in either.
  const bool first_look_up = addresses_->FirstLookUp();
  const std::vector<std::string> missing = addresses_->Missing();
  Refresh();
  for (const auto& [target, teacher] : teachers_) {
    if (question.refusals.count(target) > 0) continue;
    if (IsLeftOut(teacher, question.teacher_digest)) continue;
    if (teacher.failure.ok()) {  // has just become worth asking
      outlook.wait = absl::ZeroDuration();
      return outlook;
    }
    outlook.wait = std::min(
        outlook.wait,
        std::max(absl::ZeroDuration(), teacher.failed_until - options_.clock->SteadyNow()));
    awaited.push_back(
        absl::StrCat("teacher ", teacher.address.label, ": ", teacher.failure.message()));
  }
  if (first_look_up) return outlook;
  for (const std::string& name : missing) awaited.push_back(absl::StrCat("teacher ", name));
  outlook.waiting_for = absl::StrJoin(awaited, "; ");
  if (!awaited.empty()) return outlook;
  outlook.status = question.refusals.empty() ? WrongDigests(question.teacher_digest)
                                             : question.refusals.begin()->second;
  return outlook;
}

absl::Status TeacherSet::WrongDigests(const std::string& expected) {
  std::vector<std::string> found;
  for (const auto& [target, teacher] : teachers_) {
    const auto left_out = teacher.left_out.find(expected);
    if (left_out == teacher.left_out.end()) continue;
    if (teachers_.size() == 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("teacher digest is ", left_out->second.found, ", expected ", expected));
    }
    found.push_back(absl::StrCat(teacher.address.label, " has ", left_out->second.found));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no teacher has digest ", expected, ": ", absl::StrJoin(found, ", ")));
}

bool TeacherSet::Succeeded(const std::string& target) {
  MutexLock lock(mutex_);
  const auto teacher = teachers_.find(target);
  if (teacher == teachers_.end() || teacher->second.failure.ok()) return false;
  teacher->second.failure = absl::OkStatus();
  teacher->second.backoff.Reset();
  return true;
}

bool TeacherSet::Failed(const std::string& target, const absl::Status& status, bool progress) {
  addresses_->LookAgain();
  MutexLock lock(mutex_);
  const auto found = teachers_.find(target);
  if (found == teachers_.end()) return false;
  Teacher& teacher = found->second;
  const bool news = teacher.failure.ok();
  if (progress) teacher.backoff.Reset();
  teacher.failure = status;
  teacher.failed_until = options_.clock->SteadyNow() + teacher.backoff.Next();
  return news;
}

bool TeacherSet::LeaveOut(const std::string& target, const std::string& expected,
                          const std::string& found) {
  MutexLock lock(mutex_);
  const auto entry = teachers_.find(target);
  if (entry == teachers_.end()) return false;
  Teacher& teacher = entry->second;
  teacher.failure = absl::OkStatus();
  teacher.left_out[expected] = {options_.clock->SteadyNow() + options_.left_out_for, found};
  return teacher.warned.emplace(expected, found).second;
}

void TeacherSet::ConnectionLost(const std::string& target) {
  MutexLock lock(mutex_);
  const auto teacher = teachers_.find(target);
  if (teacher != teachers_.end()) teacher->second.left_out.clear();
}

void TeacherSet::ConnectionBack(const std::string& target) {
  MutexLock lock(mutex_);
  const auto teacher = teachers_.find(target);
  if (teacher != teachers_.end()) teacher->second.failed_until = options_.clock->SteadyNow();
}

bool TeacherSet::Knows(const std::string& target) {
  MutexLock lock(mutex_);
  return teachers_.count(target) > 0;
}

std::set<std::string> TeacherSet::Troubled() {
  MutexLock lock(mutex_);
  std::set<std::string> troubled;
  for (const auto& [target, teacher] : teachers_) {
    if (!teacher.failure.ok() || !teacher.left_out.empty()) troubled.insert(target);
  }
  return troubled;
}

}  // namespace distillery
