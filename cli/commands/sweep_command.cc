// distillery sweep: the runs of a sweep beside each other.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/commands/remote_command.h"
#include "cli/runs/run_client.h"
#include "cli/runs/sweep_table.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

class SweepCommand : public RemoteCommand {
 public:
  explicit SweepCommand(CommandLine* parent)
      : RemoteCommand(parent, "sweep", "Table of a sweep's runs, the best first.",
                      "  distillery sweep digits-1a2b3c\n"
                      "`distillery submit` of a RunSpec with a sweep prints its id.") {
    line_.Add("sweep", sweep_, "the sweep's id").Required();
  }
  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<v1::Run> all, client.List());
    std::vector<v1::Run> runs;
    std::vector<std::string> known;
    for (const v1::Run& run : all) {
      const std::string& sweep = run.spec().scheduling().sweep();
      if (sweep == sweep_) runs.push_back(run);
      if (!sweep.empty()) known.push_back(sweep);
    }
    if (runs.empty()) return absl::NotFoundError(UnknownName("sweep", sweep_, known));
    std::fputs((json_ ? SweepToJson(runs) : FormatSweep(runs)).c_str(), stdout);
    return absl::OkStatus();
  }

 private:
  std::string sweep_;
};

}  // namespace

std::unique_ptr<Command> MakeSweepCommand(CommandLine* parent) {
  return std::make_unique<SweepCommand>(parent);
}

}  // namespace distillery
