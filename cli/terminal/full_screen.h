// A terminal's alternate screen, on which something is drawn again and again; keys come at once and
// are not shown. What was on the terminal comes back at the end.
//
// Threads: one.
#pragma once

#include <termios.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace distillery {

class FullScreen {
 public:
  FullScreen();
  ~FullScreen();
  FullScreen(const FullScreen&) = delete;
  FullScreen& operator=(const FullScreen&) = delete;

  // As it is now.
  size_t width() const;
  size_t height() const;
  // The first line stands out, as do lines in capitals.
  void Draw(const std::vector<std::string>& lines);
  // Waits for a key for so long; 0: none came.
  char Key(absl::Duration timeout);

 private:
  termios before_{};
  bool restores_ = false;
};

}  // namespace distillery
