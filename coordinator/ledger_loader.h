// The start of a coordinator: what the record holds is entered in a ledger, and every run goes on
// from there.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/ledger.h"

namespace distillery {

// Locks the state folder, reads the record, looks at the files. FAILED_PRECONDITION if another
// process has the folder; DATA_LOSS names a damaged row. Blocks for as long as it takes to read the
// newest weights of every run that goes on.
absl::StatusOr<std::unique_ptr<Ledger>> OpenLedger(const CoordinatorOptions& options);

}  // namespace distillery
