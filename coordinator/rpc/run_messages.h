// RunView, RoundView and LeaseView as messages.
#pragma once

#include "coordinator/coordinator.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

void FillRun(const RunView& view, v1::Run* run);
void FillRound(const RoundView& view, v1::Round* round);
void FillWorker(const WorkerView& view, v1::Worker* worker);
void FillLease(const LeaseView& view, v1::LeaseRecord* lease);

}  // namespace distillery
