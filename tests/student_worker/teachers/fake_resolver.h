// A resolver whose names a test moves about.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "student_worker/teachers/name_resolver.h"

namespace distillery {

// How long tests wait for what happens in another thread.
inline constexpr absl::Duration kPatience = absl::Seconds(20);

// Threads: safe for all.
class FakeResolver : public NameResolver {
 public:
  absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host) override {
    MutexLock lock(mutex_);
    ++calls_;
    while (hanging_) changed_.Wait(mutex_);
    const auto found = hosts_.find(host);
    if (found == hosts_.end()) return absl::UnavailableError("no such host");
    return found->second;
  }

  void Set(const std::string& host, std::vector<std::string> addresses) {
    MutexLock lock(mutex_);
    hosts_[host] = std::move(addresses);
  }
  void Remove(const std::string& host) {
    MutexLock lock(mutex_);
    hosts_.erase(host);
  }
  // While true, look-ups do not return.
  void Hang(bool hanging) {
    MutexLock lock(mutex_);
    hanging_ = hanging;
    changed_.NotifyAll();
  }
  int calls() {
    MutexLock lock(mutex_);
    return calls_;
  }

 private:
  Mutex mutex_;
  ConditionVariable changed_;
  std::map<std::string, std::vector<std::string>> hosts_ ABSL_GUARDED_BY(mutex_);
  bool hanging_ ABSL_GUARDED_BY(mutex_) = false;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace distillery
