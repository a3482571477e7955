// Makes runs of the record's rows, both for the coordinator's start and for `state check`, so that
// the two agree on what can be read.
//
// A row that cannot be read harms its own run alone: that run is kept with a text that says what is
// wrong (RunEntry::damage), and gets no tasks.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/run/run_spec.h"
#include "coordinator/run_entry.h"
#include "coordinator/state/record.h"

namespace distillery {

struct LoadedRuns {
  std::map<std::string, std::unique_ptr<RunEntry>> runs;
  // In the order of their submission.
  std::vector<RunEntry*> order;
};

// The spec without the folders that its files are in where it was submitted: they mean nothing to
// workers, which go by digests, and are nobody's business. The names of the files stay, for people.
RunSpec WithoutFolders(RunSpec spec);

// The runs with their rounds, evaluations and sample plans, but without their tasks.
LoadedRuns LoadRuns(const Record::Contents& contents);

}  // namespace distillery
