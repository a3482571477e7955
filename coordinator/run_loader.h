// Makes runs of the record's rows, for the coordinator's start and for `state check`, so that both agree
// on what can be read.
//
// A row that cannot be read costs its run alone: that is kept with what is wrong (RunEntry::damage),
// and is given no task.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/record.h"
#include "coordinator/run_entry.h"

namespace distillery {

struct LoadedRuns {
  std::map<std::string, std::unique_ptr<RunEntry>> runs;
  // In the order of their submission.
  std::vector<RunEntry*> order;
};

// With their rounds, evaluations and sample plans, without their tasks.
LoadedRuns LoadRuns(const Record::Contents& contents);

}  // namespace distillery
