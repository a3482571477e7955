// Preloaded into a program: its wall clock steps back an hour once the file that STEP_BACK_FILE
// names is there. All other clocks stay what they are.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  const char* const file = std::getenv("STEP_BACK_FILE");
  if (result == 0 && clock == CLOCK_REALTIME && file != nullptr && access(file, F_OK) == 0) {
    time->tv_sec -= 3600;
  }
  return static_cast<int>(result);
}
