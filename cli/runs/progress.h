// Live progress of runs on standard error: lines redrawn in place at a terminal, else a plain line
// now and then.
//
// Threads: one.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// "distilled  round 12/30  41200 samples/s  loss 0.31 (soft 0.04, hard 0.29)  accuracy 96.70 %
//  3 workers  4 s left"
std::string ProgressLine(const v1::Run& run, absl::Duration time_left);

class ProgressView {
 public:
  explicit ProgressView(std::FILE* out);
  ~ProgressView() { Finish(); }
  // Shows the present state; cheap to call often. Empty: the coordinator does not answer.
  void Show(const std::vector<v1::Run>& runs);
  // Ends the block that is redrawn.
  void Finish();

 private:
  // Since the first sight of the run.
  struct Seen {
    absl::Duration first;
    int64_t first_round = 0;
    int64_t round = -1;
    std::string reason;
    absl::Duration printed = -absl::InfiniteDuration();
    bool ended = false;
  };
  absl::Duration TimeLeft(const v1::Run& run, const Seen& seen) const;
  void ShowPlain(const v1::Run& run, Seen* seen);
  void Redraw(const std::vector<std::string>& lines);

  std::FILE* const out_;
  const bool terminal_;
  std::map<std::string, Seen> seen_;
  size_t drawn_lines_ = 0;
  bool away_ = false;
};

// "7 s", "3:05 min", "2:10 h".
std::string ShortDuration(absl::Duration duration);

}  // namespace distillery
