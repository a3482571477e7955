// The parts of a shard's logits that one stream has asked for ahead of the row that it sends next.
//
// Threads: none; whoever owns it locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "teacher_service/logit_source.h"

namespace distillery {

class CutsAhead {
 public:
  struct Cut {
    int64_t first_row = 0;
    bool ready = false;
    absl::StatusOr<LogitRows> rows = absl::UnknownError("asked for");
  };

  // From `row` to `row_count`, cut where the teacher's batches of `cut_rows` are.
  void Begin(int64_t row, int64_t row_count, int64_t cut_rows) {
    next_ = row;
    row_count_ = row_count;
    cut_rows_ = cut_rows;
  }
  // Those to ask for now, so that `most` are asked for or there.
  std::vector<std::shared_ptr<Cut>> AskFor(size_t most) {
    std::vector<std::shared_ptr<Cut>> asked;
    while (next_ < row_count_ && cuts_.size() < most) {
      cuts_.push_back(std::make_shared<Cut>());
      cuts_.back()->first_row = next_;
      next_ = (next_ / cut_rows_ + 1) * cut_rows_;
      asked.push_back(cuts_.back());
    }
    waiting_ += static_cast<int>(asked.size());
    return asked;
  }
  void Answer(Cut* cut, const absl::StatusOr<LogitRows>& rows) {
    cut->rows = rows;
    cut->ready = true;
    --waiting_;
  }
  // How many were asked for and have not been answered, forgotten ones included.
  int waiting() const { return waiting_; }
  bool ready() const { return !cuts_.empty() && cuts_.front()->ready; }
  // REQUIRES: ready().
  const absl::StatusOr<LogitRows>& rows() const { return cuts_.front()->rows; }
  // The first is used up; `next` is the row that is due. A cache file gives all to the end: the
  // cuts asked for ahead are in it.
  void Pop(int64_t next) {
    cuts_.pop_front();
    next_ = std::max(next_, next);
  }
  // Forgets what was asked for: the rows from `row` on are to be asked for again.
  void AskAgain(int64_t row) {
    cuts_.clear();
    next_ = row;
  }
  void Clear() { cuts_.clear(); }

 private:
  int64_t row_count_ = 0;
  int64_t cut_rows_ = 1;
  // The first row that no cut was asked for.
  int64_t next_ = 0;
  int waiting_ = 0;
  std::deque<std::shared_ptr<Cut>> cuts_;
};

}  // namespace distillery
