#include "cli/experiment/batch_progress.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/runs/progress.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/terminal_text.h"
#include "common/base/clock.h"
#include "common/base/terminal.h"

namespace distillery {

BatchProgress::BatchProgress(std::FILE* out, TrainingCost cost, double planned)
    : out_(out), terminal_(isatty(fileno(out)) != 0), cost_(cost), planned_(planned) {}

void BatchProgress::Begin(const std::string& purpose, const std::vector<RunSpec>& specs) {
  Finish();
  purpose_ = purpose;
  for (const RunSpec& spec : specs) costs_.push_back(cost_.Seconds(spec));
  begun_ = SteadyNow();
  // Each batch is told of at once.
  printed_at_ = -absl::InfiniteDuration();
  seen_ = false;
}

void BatchProgress::Show(const std::vector<v1::Run>& runs) {
  if (runs.empty()) {
    Print("the coordinator does not answer; waiting for it");
    return;
  }
  double done = 0;
  size_t ended = 0;
  std::string waits_for;
  for (size_t i = 0; i < runs.size(); ++i) {
    const v1::Run& run = runs[i];
    done += costs_[i] * run.completed_round_count() / std::max(1, run.spec().training().rounds());
    ended += StandsStill(run) ? 1 : 0;
    if (!StandsStill(run) && waits_for.empty()) waits_for = run.state_reason();
  }
  if (!seen_) found_ += done;
  seen_ = true;
  const double total =
      std::max(planned_, done_before_ + std::accumulate(costs_.begin(), costs_.end(), 0.0));
  const double all_done = done_before_ + done;
  std::string line =
      absl::StrFormat("%s: %d of %d runs, %.0f %% of the experiment", purpose_, ended, runs.size(),
                      100 * std::min(1.0, all_done / std::max(total, 1e-9)));
  const double made_here = all_done - found_;
  const absl::Duration spent = spent_ + (SteadyNow() - begun_);
  // Less says nothing about the rate.
  constexpr double kWorthSaying = 0.01;
  if (!waits_for.empty()) {
    absl::StrAppend(&line, ", ", waits_for);
  } else if (made_here > kWorthSaying * total && total > all_done) {
    absl::StrAppend(&line, ", ", ShortDuration(spent * ((total - all_done) / made_here)), " left");
  }
  Print(line);
}

void BatchProgress::Finish() {
  if (drawn_lines_ > 0) std::fputs("\n", out_);
  drawn_lines_ = 0;
  if (!costs_.empty()) {
    done_before_ += std::accumulate(costs_.begin(), costs_.end(), 0.0);
    spent_ += SteadyNow() - begun_;
  }
  costs_.clear();
}

void BatchProgress::Print(const std::string& line) {
  constexpr absl::Duration kPlainPeriod = absl::Seconds(5);
  constexpr size_t kMostLines = 8;
  if (line == printed_) return;
  if (terminal_) {
    // The lines drawn before, one below the other, are drawn over.
    std::string text = drawn_lines_ > 1 ? absl::StrCat("\x1b[", drawn_lines_ - 1, "A") : "";
    const std::vector<std::string> lines =
        Wrap(PlainText(line), std::max<size_t>(TerminalWidth(out_), 2) - 1, kMostLines);
    absl::StrAppend(&text, "\r\x1b[J", absl::StrJoin(lines, "\n"));
    std::fputs(text.c_str(), out_);
    drawn_lines_ = lines.size();
  } else {
    if (SteadyNow() - printed_at_ < kPlainPeriod) return;
    distillery::Print(out_, "%s\n", line);
  }
  std::fflush(out_);
  printed_ = line;
  printed_at_ = SteadyNow();
}

}  // namespace distillery
