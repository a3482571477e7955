// RunView and RoundView as messages.
#pragma once

#include "coordinator/run_entry.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

void FillRun(const RunView& view, v1::Run* run);
void FillRound(const RoundView& view, v1::Round* round);

}  // namespace distillery
