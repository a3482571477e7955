// Whether a run fits its data, found out before it is submitted: from a folder that holds the data,
// or from a running teacher. If neither has them, the run's first task finds out.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "common/data/catalog.h"
#include "common/rpc/transport.h"
#include "common/run/run_spec.h"

namespace distillery {

class RunDataCheck {
 public:
  struct Options {
    // Folder of data sets; empty: only the built-in ones are looked at on this machine.
    std::string data_dir;
    // Teacher service to ask about other data sets, HOST:PORT; empty: none.
    std::string teacher;
    // The user named the teacher: if it does not answer, that is an error, not a warning.
    bool teacher_is_named = false;
    TransportOptions transport;
  };
  explicit RunDataCheck(const Options& options) : options_(options), catalog_(options.data_dir) {}

  // Also resolves the classes that the spec names, which needs the data: INVALID_ARGUMENT if they
  // are not found. NOT_FOUND for a data set that is not known, with the nearest name;
  // INVALID_ARGUMENT for one that the run does not fit (CheckFitsData); else errors of the files or
  // of the teacher. A warning in the log says what could not be checked. REQUIRES: the spec is
  // valid.
  absl::Status Check(RunSpec* spec);

 private:
  absl::Status CheckHere(RunSpec* spec);
  absl::Status CheckAtTeacher(RunSpec* spec) const;

  const Options options_;
  DatasetCatalog catalog_;
  // Data sets that could not be looked at.
  std::set<std::string> unchecked_;
};

}  // namespace distillery
