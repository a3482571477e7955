// Whether a run fits its data, asked before it is submitted of whoever has the data here: a folder, or a
// running teacher. What neither has, the first task finds out.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/data/catalog.h"
#include "common/rpc/transport.h"
#include "common/run/run_spec.h"

namespace distillery {

class RunDataCheck {
 public:
  struct Options {
    // Folder of data sets; empty: the built-in ones alone are looked at here.
    std::string data_dir;
    // Teacher service to ask of other data sets, HOST:PORT; empty: none.
    std::string teacher;
    // The user named the teacher: that it does not answer is an error, not a warning.
    bool teacher_is_named = false;
    TransportOptions transport;
  };
  explicit RunDataCheck(const Options& options)
      : options_(options), catalog_(options.data_dir) {}

  // NOT_FOUND for a data set that is not known, with the nearest name; INVALID_ARGUMENT for one that the
  // run does not fit (CheckFitsData); else errors of the files or of the teacher. A warning in the log
  // says what could not be checked. REQUIRES: a valid spec.
  absl::Status Check(const RunSpec& spec);

 private:
  absl::Status CheckHere(const RunSpec& spec);
  absl::Status CheckAtTeacher(const RunSpec& spec) const;

  const Options options_;
  DatasetCatalog catalog_;
};

}  // namespace distillery
