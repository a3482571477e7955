// A process without a free descriptor, as a flood of connections leaves it.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/base/descriptor.h"

namespace distillery {

// No number from `most` on can be opened.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = std::min(before_.rlim_cur, most);
    setrlimit(RLIMIT_NOFILE, &few);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

// Takes all that are left but a few, and gives them back.
class EatenDescriptors {
 public:
  explicit EatenDescriptors(size_t left = 0) {
    for (int next = 0; (next = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) {
      eaten_.emplace_back(next);
    }
    for (size_t i = 0; i < left && !eaten_.empty(); ++i) eaten_.pop_back();
  }

 private:
  const DescriptorLimit limit_{128};
  std::vector<Descriptor> eaten_;
};

}  // namespace distillery
