#include "cli/runs/fleet_view.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "absl/strings/str_join.h"
#include "cli/runs/progress.h"
#include "cli/terminal/terminal_text.h"
#include "common/base/text.h"

namespace distillery {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kReason[] =
    "shapes-1a2b3c train round 0 replica 0 failed: train/a/bad\xff.png is no image\n\x1b[2J";

FleetSnapshot Snapshot() {
  FleetSnapshot snapshot;
  snapshot.at = absl::UnixEpoch();
  snapshot.coordinator = "127.0.0.1:7002";
  v1::Run& run = snapshot.runs.emplace_back();
  run.set_run_id("shapes-1a2b3c");
  run.set_state(v1::RUN_STATE_PAUSED);
  run.set_state_reason(kReason);
  run.mutable_spec()->mutable_training()->set_rounds(5);
  v1::Worker& busy = snapshot.workers.emplace_back();
  busy.set_name("phone-0");
  v1::Worker& gone = snapshot.workers.emplace_back();
  gone.set_name("phone-1");
  gone.set_silent_seconds(40);
  gone.set_gone(true);
  return snapshot;
}

// The lines put together again, without line ends and the spaces between words.
std::string Joined(const std::vector<std::string>& lines) {
  std::string all = absl::StrJoin(lines, "");
  all.erase(std::remove(all.begin(), all.end(), ' '), all.end());
  return all;
}

TEST(FleetView, WhyARunStandsStillIsShownAtAnyWidth) {
  for (const size_t width : {30, 40, 60, 80, 120, 200}) {
    FleetView view;
    const auto lines = view.Lines(Snapshot(), width, 100);
    EXPECT_THAT(Joined(lines), HasSubstr("round0replica0failed:train/a/bad\\xff.pngisnoimage"))
        << width << "\n"
        << absl::StrJoin(lines, "\n");
    for (const std::string& line : lines) EXPECT_LE(WidthOf(line), width) << line;
  }
}

TEST(FleetView, Fault56_NoTextMovesTheCursorOrEndsALine) {
  FleetSnapshot snapshot = Snapshot();
  snapshot.workers[0].set_name("\x1b[31mred\n");
  snapshot.status = absl::UnavailableError("away\n\x1b[2J\xff");
  snapshot.teachers.emplace_back().address = "\xff:1";
  FleetView view;
  for (const std::string& line : view.Lines(snapshot, 100, 100)) {
    EXPECT_TRUE(IsUtf8(line)) << line;
    EXPECT_EQ(PlainText(line), line);
  }
}

TEST(FleetView, AWorkerThatIsGoneIsShownAsGoneAndNotCounted) {
  FleetView view;
  const auto lines = view.Lines(Snapshot(), 120, 100);
  EXPECT_THAT(lines[0], HasSubstr("1 worker (1 gone)"));
  EXPECT_THAT(lines, Contains(::testing::MatchesRegex("phone-1 +gone .*")));
  EXPECT_THAT(lines, Contains(::testing::MatchesRegex("phone-0 +waits for a task.*")));
}

TEST(FleetView, ALowScreenShowsTheFirstRunsReasonAndCountsTheOthers) {
  FleetSnapshot snapshot = Snapshot();
  for (int i = 0; i < 20; ++i) snapshot.runs.push_back(snapshot.runs.front());
  FleetView view;
  const auto lines = view.Lines(snapshot, 40, 24);
  EXPECT_LE(lines.size(), 24);
  EXPECT_THAT(absl::StrJoin(lines, "\n"), HasSubstr("train round"));
  EXPECT_THAT(absl::StrJoin(lines, "\n"), HasSubstr(" more"));
}

TEST(ProgressLine, Fault56_IsOneLineWhateverARunWaitsFor) {
  v1::Run run;
  run.set_state(v1::RUN_STATE_RUNNING);
  run.mutable_spec()->set_name("first");
  run.set_state_reason("waiting for teacher \xff\n");
  const std::string line = ProgressLine(run, absl::ZeroDuration());
  EXPECT_THAT(line, HasSubstr("waiting for teacher \\xff\\n"));
  EXPECT_THAT(line, Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace distillery
