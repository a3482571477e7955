// distillery watch: one run to its end, or everything on a full screen.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/commands/remote_command.h"
#include "cli/runs/fleet_view.h"
#include "cli/runs/teacher_query.h"
#include "cli/terminal/full_screen.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"

namespace distillery {
namespace {

class WatchCommand : public RemoteCommand {
 public:
  explicit WatchCommand(CommandLine* parent)
      : RemoteCommand(
            parent, "watch",
            "Show a run's progress until it has ended or is paused; without a run, all runs, "
            "workers "
            "and teachers on a full screen.",
            "  distillery watch RUN\n"
            "      exit code 0 if the run succeeded; Ctrl-C ends watching, not the run\n"
            "  distillery watch --teacher 10.0.0.5:7001 --teacher 10.0.0.6:7001\n"
            "      full screen; q ends it\n"
            "  distillery watch --once\n"
            "      one look, as lines; --json for scripts") {
    line_.Add("run", run_id_, "the run's id; none: everything");
    line_.Add("--teacher", teachers_, "teacher service, HOST:PORT; may be repeated").ShowDefault();
    line_.Add("--once", once_, "look once and end");
  }

  absl::Status Run() override {
    DISTILLERY_ASSIGN_OR_RETURN(const RunClient client, RunClient::Connect(flags_));
    if (run_id_.empty()) return WatchFleet(client);
    DISTILLERY_RETURN_IF_ERROR(client.Find(run_id_).status());
    DISTILLERY_ASSIGN_OR_RETURN(const auto ended, WatchToEnd(client, {run_id_}));
    return PrintEnded(ended.front());
  }

 private:
  absl::Status WatchFleet(const RunClient& client) {
    constexpr absl::Duration kPeriod = absl::Seconds(1);
    FleetSnapshot snapshot;
    snapshot.coordinator = flags_.address;
    std::vector<TeacherQuery> teachers;
    for (const std::string& address : teachers_) {
      DISTILLERY_ASSIGN_OR_RETURN(TeacherQuery teacher,
                                  TeacherQuery::Connect(address, flags_.transport));
      teachers.push_back(std::move(teacher));
      snapshot.teachers.emplace_back().address = address;
    }
    Look(client, teachers, &snapshot);
    FleetView view;
    if (json_) {
      std::printf("%s\n", FleetToJson(snapshot).c_str());
      return snapshot.status;
    }
    if (once_ || isatty(STDOUT_FILENO) == 0) {
      constexpr size_t kWide = 160;
      constexpr size_t kLong = 10'000;
      for (const std::string& line : view.Lines(snapshot, kWide, kLong)) {
        std::printf("%s\n", line.c_str());
      }
      return snapshot.status;
    }
    FullScreen screen;
    while (!StopSignal::Requested()) {
      screen.Draw(view.Lines(snapshot, screen.width(), screen.height()));
      const absl::Duration next = SteadyNow() + kPeriod;
      while (SteadyNow() < next && !StopSignal::Requested()) {
        const char key = screen.Key(next - SteadyNow());
        if (key == 'q' || key == 'Q') return absl::OkStatus();
      }
      Look(client, teachers, &snapshot);
    }
    return absl::OkStatus();
  }

  // What cannot be asked stays as it was.
  static void Look(const RunClient& client, const std::vector<TeacherQuery>& teachers,
                   FleetSnapshot* snapshot) {
    auto runs = client.List();
    snapshot->status = runs.status();
    if (runs.ok()) {
      snapshot->runs = *std::move(runs);
      auto workers = client.ListWorkers();
      snapshot->status = workers.status();
      if (workers.ok()) {
        snapshot->workers.assign(workers->workers().begin(), workers->workers().end());
      }
    }
    for (size_t i = 0; i < teachers.size(); ++i) {
      snapshot->teachers[i].answer = teachers[i].List();
    }
    snapshot->at = absl::Now();
  }

  std::vector<std::string> teachers_ = {"127.0.0.1:7001"};
  bool once_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeWatchCommand(CommandLine* parent) {
  return std::make_unique<WatchCommand>(parent);
}

}  // namespace distillery
