// The models and ensembles of one service, by name.
//
// Threads: safe for all. Who holds a teacher keeps it alive: a model that is replaced ends with the
// last call that uses it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "teacher_service/teachers/ensemble_teacher.h"
#include "teacher_service/teachers/teacher.h"

namespace distillery {

class ModelRegistry {
 public:
  // Names a model that will be loaded. INVALID_ARGUMENT for a name that is taken or no name
  // (letters, digits, '-', '_' and '.', at most 64).
  absl::Status Declare(const std::string& name);
  // Names an ensemble of declared models. INVALID_ARGUMENT also for an unknown member.
  absl::Status DeclareEnsemble(const std::string& name, const EnsembleOptions& options);

  // Sets or replaces a declared model; ensembles that hold it are made anew.
  // FAILED_PRECONDITION if an ensemble's members do not fit together; nothing is changed then.
  absl::Status Set(const std::string& name, std::shared_ptr<Teacher> teacher);

  // The model or ensemble; "" is the first. NOT_FOUND with the nearest name; INVALID_ARGUMENT for
  // what cannot be a name; UNAVAILABLE while it is loading.
  absl::StatusOr<std::shared_ptr<Teacher>> Find(const std::string& name) const;
  // The name that "" stands for, or `name` if it is known. Errors as Find.
  absl::StatusOr<std::string> Resolve(const std::string& name) const;
  bool IsEnsemble(const std::string& name) const;
  // In the order of declaration.
  std::vector<std::string> Names() const;
  // True if every model is loaded.
  bool Ready() const;

 private:
  struct Entry {
    std::string name;
    bool is_ensemble = false;
    EnsembleOptions ensemble;
    std::shared_ptr<Teacher> teacher;
  };
  absl::Status CheckNew(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Entry* FindEntry(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status UnknownModel(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
