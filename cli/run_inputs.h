// What a run depends on besides its RunSpec: the teacher and the data. A command that finds a run of
// the same spec again takes it for its own only if it was done with these.
//
// Threads: one.
#pragma once

#include <string>
#include <utility>

#include "common/data/catalog.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

class RunInputs {
 public:
  // `teacher_digest`: of the teacher that there is; empty: somebody else's, which is not compared.
  // `datasets` must outlive this.
  RunInputs(std::string teacher_digest, DatasetCatalog* datasets)
      : teacher_digest_(std::move(teacher_digest)), datasets_(datasets) {}

  // Why the run is not one of these inputs, for people; "" if it is one, or is not bound to any yet.
  // Reads the data if the run is bound to some. Data that cannot be read differs in nothing: whoever
  // needs it says what is wrong with it.
  std::string Difference(const v1::Run& run) const;

 private:
  std::string teacher_digest_;
  DatasetCatalog* datasets_;
};

}  // namespace distillery
