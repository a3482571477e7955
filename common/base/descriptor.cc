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
