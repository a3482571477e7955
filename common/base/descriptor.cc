#include "common/base/descriptor.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

namespace distillery {

Descriptor::~Descriptor() {
  if (valid()) close(number_);
}

ReadOutcome ReadAt(int descriptor, int64_t offset, int64_t bytes, void* output) {
  ReadOutcome outcome;
  while (outcome.bytes < bytes) {
    const ssize_t got = pread(descriptor, static_cast<char*>(output) + outcome.bytes,
                              static_cast<size_t>(bytes - outcome.bytes), offset + outcome.bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) outcome.error_number = errno;
    if (got <= 0) break;
    outcome.bytes += got;
  }
  return outcome;
}

int64_t FreeDescriptors(int64_t most) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  int64_t free = 0;
  for (int number = 0; free < most && number < std::numeric_limits<int>::max() &&
                       static_cast<rlim_t>(number) < limit.rlim_cur;
       ++number) {
    if (fcntl(number, F_GETFD) == -1 && errno == EBADF) ++free;
  }
  return free;
}

}  // namespace distillery
