// What a run depends on besides its RunSpec: the teacher and the data. A command that finds an
// earlier run of the same spec takes it for its own only if it was done with these.
//
// Threads: one.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/data/catalog.h"
#include "common/run/run_spec.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

class RunInputs {
 public:
  // `teacher_digest`: of the teacher in use; empty: it is not known, and not compared.
  // `datasets` must outlive this.
  RunInputs(std::string teacher_digest, DatasetCatalog* datasets)
      : teacher_digest_(std::move(teacher_digest)), datasets_(datasets) {}

  // FAILED_PRECONDITION if the spec names the digest of another teacher: each run of it would be
  // bound to that one from the beginning.
  absl::Status Check(const RunSpec& spec) const;

  // How the run's inputs differ from these, as a text for people; "" if they do not, or if the run
  // is not bound to any yet. Reads the data if the run is bound to some. Data that cannot be read
  // count as equal: whoever needs them says what is wrong with them.
  std::string Difference(const v1::Run& run) const;

 private:
  std::string teacher_digest_;
  DatasetCatalog* datasets_;
};

}  // namespace distillery
