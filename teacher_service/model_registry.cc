#include "teacher_service/model_registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

constexpr size_t kMaxNameLength = 64;

}  // namespace

absl::Status ModelRegistry::CheckNew(const std::string& name) const {
  DISTILLERY_RETURN_IF_ERROR(CheckName("model name", name, kMaxNameLength));
  if (FindEntry(name) == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("two models are named ", name, ": name them apart with --model NAME=FILE"));
}

absl::Status ModelRegistry::Declare(const std::string& name) {
  MutexLock lock(mutex_);
  DISTILLERY_RETURN_IF_ERROR(CheckNew(name));
  Entry entry;
  entry.name = name;
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status ModelRegistry::DeclareEnsemble(const std::string& name,
                                            const EnsembleOptions& options) {
  MutexLock lock(mutex_);
  DISTILLERY_RETURN_IF_ERROR(CheckNew(name));
  for (const EnsembleMember& member : options.members) {
    const Entry* const entry = FindEntry(member.model_name);
    if (entry == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "ensemble ", name, ": ", std::string(UnknownModel(member.model_name).message())));
    }
    if (entry->is_ensemble) {
      return absl::InvalidArgumentError(absl::StrCat("ensemble ", name, " holds ensemble ",
                                                     member.model_name,
                                                     ": its members must be models"));
    }
  }
  Entry entry;
  entry.name = name;
  entry.is_ensemble = true;
  entry.ensemble = options;
  entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status ModelRegistry::Set(const std::string& name, std::shared_ptr<Teacher> teacher) {
  MutexLock lock(mutex_);
  std::vector<Entry> next = entries_;
  Entry* changed = nullptr;
  for (Entry& entry : next) {
    if (entry.name == name) changed = &entry;
  }
  if (changed == nullptr) return UnknownModel(name);
  if (changed->is_ensemble) {
    return absl::FailedPreconditionError(absl::StrCat(name, " is an ensemble: load its members"));
  }
  changed->teacher = std::move(teacher);
  for (Entry& entry : next) {
    if (!entry.is_ensemble) continue;
    std::vector<std::shared_ptr<Teacher>> members;
    for (const EnsembleMember& member : entry.ensemble.members) {
      for (const Entry& candidate : next) {
        if (candidate.name == member.model_name && candidate.teacher != nullptr) {
          members.push_back(candidate.teacher);
        }
      }
    }
    if (members.size() < entry.ensemble.members.size()) continue;  // some are still loading
    DISTILLERY_ASSIGN_OR_RETURN(entry.teacher,
                                MakeEnsembleTeacher(entry.name, entry.ensemble, members));
  }
  entries_ = std::move(next);
  return absl::OkStatus();
}

const ModelRegistry::Entry* ModelRegistry::FindEntry(const std::string& name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name || (name.empty() && &entry == &entries_.front())) return &entry;
  }
  return nullptr;
}

absl::Status ModelRegistry::UnknownModel(const std::string& name) const {
  DISTILLERY_RETURN_IF_ERROR(CheckName("model_name", name, kMaxNameLength));
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return absl::NotFoundError(UnknownName("model", name, names));
}

absl::StatusOr<std::shared_ptr<Teacher>> ModelRegistry::Find(const std::string& name) const {
  MutexLock lock(mutex_);
  const Entry* const entry = FindEntry(name);
  if (entry == nullptr) return UnknownModel(name);
  if (entry->teacher == nullptr) {
    return absl::UnavailableError(absl::StrCat("the teacher is loading model ", entry->name));
  }
  return entry->teacher;
}

absl::StatusOr<std::string> ModelRegistry::Resolve(const std::string& name) const {
  MutexLock lock(mutex_);
  const Entry* const entry = FindEntry(name);
  if (entry == nullptr) return UnknownModel(name);
  return entry->name;
}

bool ModelRegistry::IsEnsemble(const std::string& name) const {
  MutexLock lock(mutex_);
  const Entry* const entry = FindEntry(name);
  return entry != nullptr && entry->is_ensemble;
}

std::vector<std::string> ModelRegistry::Names() const {
  MutexLock lock(mutex_);
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

bool ModelRegistry::Ready() const {
  MutexLock lock(mutex_);
  for (const Entry& entry : entries_) {
    if (entry.teacher == nullptr) return false;
  }
  return !entries_.empty();
}

}  // namespace distillery
