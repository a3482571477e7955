#include "tests/benchmarks/simulated_worker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "tests/benchmarks/exchange_client.h"

namespace distillery {
namespace {

constexpr absl::Duration kLongestWait = absl::Seconds(5);

// The round ended without this result, or the coordinator is busy with something else.
bool LeaseEnded(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsNotFound(status);
}

}  // namespace

SimulatedWorker::SimulatedWorker(const Options& options)
    : options_(options),
      client_(NewConnection(options.address), &canceller_),
      random_(options.number, "simulated worker") {}

template <typename Body>
auto SimulatedWorker::Time(const char* name, Body body) {
  const absl::Time start = absl::Now();
  auto result = body();
  times_[name].push_back(absl::ToDoubleSeconds(absl::Now() - start));
  return result;
}

void SimulatedWorker::Sleep(absl::Duration duration) {
  const absl::Time until = absl::Now() + duration;
  while (!options_.stop->load() && absl::Now() < until) {
    absl::SleepFor(std::min(absl::Milliseconds(200), until - absl::Now()));
  }
}

absl::Status SimulatedWorker::Run() {
  // They do not come all at once.
  Sleep(options_.task_time * random_.Uniform());
  if (options_.stop->load()) return absl::OkStatus();
  DISTILLERY_ASSIGN_OR_RETURN(const auto registration, Time("RegisterWorker", [&] {
                                return client_.RegisterWorker(
                                    RandomHex(16), absl::StrCat("worker-", options_.number),
                                    "benchmark", "fastest");
                              }));
  while (!options_.stop->load()) {
    const auto start = absl::Now();
    DISTILLERY_ASSIGN_OR_RETURN(
        LeasedWork work,
        client_.LeaseTask(RandomHex(16), registration.worker_id, absl::ZeroDuration()));
    times_[work.task.has_value() ? "LeaseTask" : "LeaseTask, none free"].push_back(
        absl::ToDoubleSeconds(absl::Now() - start));
    if (!work.task.has_value()) {
      DISTILLERY_ASSIGN_OR_RETURN(
          work, client_.LeaseTask(RandomHex(16), registration.worker_id, kLongestWait));
    }
    if (!work.task.has_value()) continue;
    const absl::Status done = Do(*work.task);
    if (!done.ok() && !LeaseEnded(done)) return done;
  }
  return absl::OkStatus();
}

bool SimulatedWorker::Train(const WorkerTask& task) {
  absl::Duration left = options_.task_time * (0.5 + random_.Uniform());
  while (left > absl::ZeroDuration()) {
    const absl::Duration step = std::min(left, options_.renew_every);
    Sleep(step);
    left -= step;
    if (options_.stop->load()) return false;
    if (left <= absl::ZeroDuration()) return true;
    ++task_samples_;
    const absl::Status renewed =
        Time("RenewLease", [&] { return client_.RenewLease(task.lease, task_samples_, ""); });
    if (!renewed.ok()) return false;
  }
  return true;
}

absl::Status SimulatedWorker::Do(const WorkerTask& task) {
  ResultHeader header;
  header.request_id = RandomHex(16);
  header.lease = task.lease;
  if (task.lease.task.kind == TaskKind::kInitialise) {
    header.buffer_names = options_.buffer_names;
    return client_.UploadDelta(header, *options_.file, /*again=*/false);
  }
  DISTILLERY_RETURN_IF_ERROR(Time("DownloadWeights", [&] {
                               return client_.DownloadWeights(task.lease.task.run_id,
                                                              task.lease.task.round);
                             }).status());
  if (!Train(task)) return absl::OkStatus();
  ++task_count_;
  if (task.lease.task.kind == TaskKind::kEvaluate) {
    EvaluationMetrics metrics;
    metrics.sample_count = 100;
    metrics.correct_count = 90;
    metrics.cross_entropy = 0.5;
    metrics.agreement_count = -1;
    return Time("ReportEvaluation",
                [&] { return client_.ReportEvaluation(header.request_id, task.lease, metrics); });
  }
  header.metrics.sample_count = 100;
  header.metrics.step_count = 10;
  return Time("UploadDelta", [&] { return client_.UploadDelta(header, *options_.file, false); });
}

}  // namespace distillery
