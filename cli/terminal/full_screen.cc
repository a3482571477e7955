#include "cli/terminal/full_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace distillery {
namespace {

winsize SizeNow() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    size.ws_col = 80;
    size.ws_row = 24;
  }
  return size;
}

bool IsTitle(const std::string& line) {
  return !line.empty() && std::all_of(line.begin(), line.end(), [](char c) {
    return std::isupper(static_cast<unsigned char>(c)) != 0;
  });
}

}  // namespace

FullScreen::FullScreen() {
  if (tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    // Signals stay: Ctrl-C ends the program as ever.
    raw.c_lflag &= static_cast<tcflag_t>(~(ICANON | ECHO));
    restores_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  std::fputs("\x1b[?1049h\x1b[?25l", stdout);
  std::fflush(stdout);
}

FullScreen::~FullScreen() {
  std::fputs("\x1b[?25h\x1b[?1049l", stdout);
  std::fflush(stdout);
  if (restores_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

size_t FullScreen::width() const { return SizeNow().ws_col; }
size_t FullScreen::height() const { return SizeNow().ws_row; }

void FullScreen::Draw(const std::vector<std::string>& lines) {
  // Over what is there, so that nothing flickers.
  std::string text = "\x1b[H";
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool bold = i == 0 || IsTitle(lines[i]);
    absl::StrAppend(&text, i == 0 ? "" : "\n", bold ? "\x1b[1m" : "", lines[i],
                    bold ? "\x1b[0m" : "", "\x1b[K");
  }
  absl::StrAppend(&text, "\x1b[J");
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

char FullScreen::Key(absl::Duration timeout) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char key = 0;
  if (poll(&input, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0 ||
      read(STDIN_FILENO, &key, 1) != 1) {
    return 0;
  }
  return key;
}

}  // namespace distillery
