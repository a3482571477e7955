#include "cli/runs/progress.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/runs/evaluation_text.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/terminal_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/rpc/proto_conversion.h"

namespace distillery {
namespace {

constexpr absl::Duration kPlainPeriod = absl::Seconds(2);
// The part of a round's time from which waiting is shown.
constexpr double kWorthSaying = 0.005;

// Why the run does not get on; "" where its end is told, with the reason, by who watches.
std::string ReasonOf(const v1::Run& run) {
  return StandsStill(run) ? std::string() : PlainText(run.state_reason());
}

// All but the reason.
std::string FiguresLine(const v1::Run& run, absl::Duration time_left) {
  std::string line = absl::StrFormat("%-12s round %d/%d", run.spec().name(),
                                     run.completed_round_count(), run.spec().training().rounds());
  const v1::TrainMetrics& train = run.latest_round().train();
  if (StandsStill(run)) {
    absl::StrAppend(&line, "  ", RunStateName(run));
  } else if (run.samples_per_second() > 0) {
    absl::StrAppendFormat(&line, "  %.0f samples/s", run.samples_per_second());
  }
  if (train.sample_count() > 0) {
    absl::StrAppendFormat(&line, "  loss %.4f", train.loss());
    if (run.spec().loss().alpha() > 0) {
      absl::StrAppendFormat(&line, " (soft %.4f, hard %.4f)", train.soft_loss(), train.hard_loss());
    }
  }
  if (train.teacher_wait_seconds() >= kWorthSaying * train.seconds() && train.seconds() > 0) {
    absl::StrAppendFormat(&line, "  waits for the teacher %.0f %%",
                          100 * train.teacher_wait_seconds() / train.seconds());
  }
  const v1::EvaluationMetrics& evaluation = run.latest_evaluation();
  if (evaluation.sample_count() > 0) {
    const EvaluationMetrics metrics = FromProto(evaluation);
    absl::StrAppend(&line, metrics.counts_right() ? "  accuracy " : "  ", MainFigure(metrics));
  }
  if (!StandsStill(run)) {
    absl::StrAppendFormat(&line, "  %d worker%s", run.live_worker_count(),
                          run.live_worker_count() == 1 ? "" : "s");
    if (ReasonOf(run).empty() && time_left > absl::ZeroDuration() &&
        time_left < absl::InfiniteDuration()) {
      absl::StrAppend(&line, "  ", ShortDuration(time_left), " left");
    }
  }
  return PlainText(line);
}

// The figures on one line of a terminal, which cuts them where it is too narrow, and whole below
// them the reason.
void AppendLines(const std::string& figures, const std::string& reason, size_t width,
                 std::vector<std::string>* lines) {
  constexpr size_t kMostReasonLines = 8;
  const size_t columns = std::max<size_t>(width, 2) - 1;
  lines->push_back(Fit(figures, columns));
  if (reason.empty()) return;
  for (std::string& line : Wrap(reason, columns, kMostReasonLines)) {
    lines->push_back(std::move(line));
  }
}

}  // namespace

std::string ShortDuration(absl::Duration duration) {
  const auto seconds = absl::ToInt64Seconds(duration + absl::Milliseconds(500));
  if (seconds < 60) return absl::StrCat(seconds, " s");
  if (seconds < 3600) return absl::StrFormat("%d:%02d min", seconds / 60, seconds % 60);
  return absl::StrFormat("%d:%02d h", seconds / 3600, seconds / 60 % 60);
}

std::string ProgressLine(const v1::Run& run, absl::Duration time_left) {
  const std::string line = FiguresLine(run, time_left);
  const std::string reason = ReasonOf(run);
  return reason.empty() ? line : absl::StrCat(line, "  ", reason);
}

ProgressView::ProgressView(std::FILE* out) : out_(out), terminal_(isatty(fileno(out)) != 0) {}

absl::Duration ProgressView::TimeLeft(const v1::Run& run, const Seen& seen) const {
  const int64_t done = run.completed_round_count() - seen.first_round;
  if (done <= 0) return absl::InfiniteDuration();
  return (SteadyNow() - seen.first) / done *
         (run.spec().training().rounds() - run.completed_round_count());
}

void ProgressView::Show(const std::vector<v1::Run>& runs) {
  if (runs.empty()) {
    if (!away_) {
      Finish();
      std::fprintf(out_, "the coordinator does not answer; waiting for it\n");
    }
    away_ = true;
    return;
  }
  away_ = false;
  std::vector<std::string> lines;
  for (const v1::Run& run : runs) {
    Seen& seen = seen_[run.run_id()];
    if (seen.first == absl::ZeroDuration()) {
      seen.first = SteadyNow();
      seen.first_round = run.completed_round_count();
    }
    if (terminal_) {
      AppendLines(FiguresLine(run, TimeLeft(run, seen)), ReasonOf(run), TerminalWidth(out_),
                  &lines);
    } else {
      ShowPlain(run, &seen);
    }
  }
  if (terminal_) Redraw(lines);
}

void ProgressView::ShowPlain(const v1::Run& run, Seen* seen) {
  const bool news =
      run.completed_round_count() != seen->round || run.state_reason() != seen->reason;
  const bool still = StandsStill(run);
  const bool ended = still && !seen->ended;
  if (!ended && (!news || SteadyNow() - seen->printed < kPlainPeriod || still)) return;
  seen->round = run.completed_round_count();
  seen->reason = run.state_reason();
  seen->printed = SteadyNow();
  seen->ended = still;
  std::fprintf(out_, "%s\n", ProgressLine(run, TimeLeft(run, *seen)).c_str());
  std::fflush(out_);
}

void ProgressView::Redraw(const std::vector<std::string>& lines) {
  std::string text;
  if (drawn_lines_ > 0) absl::StrAppend(&text, "\x1b[", drawn_lines_, "A");
  for (const std::string& line : lines) absl::StrAppend(&text, "\r\x1b[K", line, "\n");
  // What was drawn before may have been longer.
  absl::StrAppend(&text, "\x1b[J");
  drawn_lines_ = lines.size();
  std::fputs(text.c_str(), out_);
  std::fflush(out_);
}

void ProgressView::Finish() { drawn_lines_ = 0; }

}  // namespace distillery
