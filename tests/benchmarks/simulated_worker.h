// A worker without a student: it registers, takes tasks, waits for as long as training would take
// while it renews its lease, and sends a small result. For benchmarks of the coordinator.
//
// Threads: one for each worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/philox.h"
#include "common/rpc/call_canceller.h"
#include "student_worker/rpc/coordinator_client.h"

namespace distillery {

// Seconds of each call, by its name.
using CallTimes = std::map<std::string, std::vector<double>>;

class SimulatedWorker {
 public:
  struct Options {
    std::string address;
    // Decides how long its tasks take.
    int64_t number = 0;
    // Mean; tasks take from half to one and a half as long.
    absl::Duration task_time;
    absl::Duration renew_every;
    // Weights of a run, and of a delta, which must outlive the worker.
    const std::string* file = nullptr;
    std::vector<std::string> buffer_names;
    const std::atomic<bool>* stop = nullptr;
  };
  explicit SimulatedWorker(const Options& options);

  // Works until told to stop. The first error that is not the end of a lease.
  absl::Status Run();
  // After Run. A LeaseTask that found no task, and waited for one, is not among them.
  const CallTimes& times() const { return times_; }
  int64_t task_count() const { return task_count_; }

 private:
  absl::Status Do(const WorkerTask& task);
  // Waits as if it trained. False: the lease is lost, or it is to stop.
  bool Train(const WorkerTask& task);
  template <typename Body>
  auto Time(const char* name, Body body);
  void Sleep(absl::Duration duration);

  const Options options_;
  CallCanceller canceller_;
  CoordinatorClient client_;
  RandomStream random_;
  CallTimes times_;
  int64_t task_count_ = 0;
  int64_t task_samples_ = 0;
};

}  // namespace distillery
