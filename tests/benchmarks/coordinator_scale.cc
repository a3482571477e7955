// A coordinator under many workers: 10, 100 and 1,000 that are simulated, each with a connection of
// its own, over a quarter as many runs of four replicas. Prints JSON, and a table to standard
// error: calls per second, the median and the 99th percentile of each kind of call, CPU seconds per
// call and memory per worker of the coordinator, which is a process of its own.
//
// Goals: unary calls that do not wait for a task within 50 ms (99th percentile) at 1,000 workers;
// cost per call and memory per worker do not grow with their number. The workers share the
// processors with the coordinator here, and the times are theirs.
#include <sys/resource.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/child_process.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/rpc/initialise.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/weights/weights.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "tests/benchmarks/exchange_client.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/simulated_worker.h"

namespace distillery {
namespace {

constexpr double kGoalSeconds = 0.05;
constexpr int64_t kReplicas = 4;
constexpr int64_t kParameters = 1000;
constexpr char kUploads[] = "UploadDelta";
constexpr char kDownloads[] = "DownloadWeights";

struct Flags {
  std::vector<int64_t> workers = {10, 100, 1000};
  double seconds = 60;
  double task_seconds = 10;
  double renew_seconds = 3;
  bool quick = false;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  coordinator_scale > coordinator_scale.json\n"
    "      10, 100 and 1,000 workers, a minute each; the table goes to the terminal\n"
    "  coordinator_scale --workers 200 --seconds 20 --task-seconds 1 --renew-seconds 0.5\n"
    "      shorter tasks: more calls";

double Rounded(double value) { return std::round(1000 * value) / 1000; }

std::string SmallFile() {
  TensorSpec weights;
  weights.name = "weight";
  weights.shape = {kParameters};
  TensorSpec mean;
  mean.name = "running_mean";
  mean.shape = {8};
  return Weights(*WeightsLayout::Create({weights, mean})).file();
}

class Scale {
 public:
  Scale(const Flags& flags, std::string folder, int64_t workers)
      : flags_(flags), folder_(std::move(folder)), worker_count_(workers), file_(SmallFile()) {}

  absl::StatusOr<nlohmann::ordered_json> Measure() {
    DISTILLERY_ASSIGN_OR_RETURN(
        const ServerProcess coordinator,
        ServerProcess::Start(
            {ProgramFolder() + "/coordinator", "--listen", "127.0.0.1:0", "--state-dir",
             folder_ + "/state", "--lease-seconds", absl::StrCat(10 * flags_.renew_seconds),
             "--max-connections", "4096", "--log-level", "warning"},
            folder_));
    const auto stub = v1::CoordinatorService::NewStub(NewConnection(coordinator.address()));
    const int64_t idle_memory = MemoryOf(coordinator.id(), "VmRSS");
    for (int64_t i = 0; i < std::max<int64_t>(1, worker_count_ / kReplicas); ++i) {
      DISTILLERY_RETURN_IF_ERROR(Submit(*stub));
    }
    const double cpu = coordinator.cpu_seconds();
    const absl::Time start = absl::Now();
    StartWorkers(coordinator.address());
    CallTimes times;
    while (absl::Now() - start < absl::Seconds(flags_.seconds) && !StopSignal::Requested()) {
      const absl::Time asked = absl::Now();
      DISTILLERY_RETURN_IF_ERROR(Look(*stub));
      times["GetRun"].push_back(absl::ToDoubleSeconds(absl::Now() - asked));
      absl::SleepFor(absl::Milliseconds(100));
    }
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    const double cpu_seconds = coordinator.cpu_seconds() - cpu;
    const int64_t memory = MemoryOf(coordinator.id(), "VmHWM");
    DISTILLERY_RETURN_IF_ERROR(StopWorkers(&times));
    return Report(times, seconds, cpu_seconds, memory - idle_memory);
  }

 private:
  absl::Status Submit(v1::CoordinatorService::Stub& stub) {
    RunSpec spec;
    spec.name = "scale";
    spec.student.architecture = "mlp:64-10";  // is not looked at: workers make W_0
    spec.loss.alpha = 0;
    spec.training.rounds = 1'000'000;
    spec.training.replicas = kReplicas;
    spec.training.local_steps = 1;
    spec.training.batch_size = 100;
    spec.evaluation.every_rounds = 2;
    v1::SubmitRunRequest request;
    request.set_request_id(RandomHex(16));
    *request.mutable_spec() = ToProto(spec);
    v1::SubmitRunResponse response;
    grpc::ClientContext context;
    DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(stub.SubmitRun(&context, request, &response)));
    run_ids_.push_back(response.run().run_id());
    return absl::OkStatus();
  }

  // At one run after the other, as somebody who watches does.
  absl::Status Look(v1::CoordinatorService::Stub& stub) {
    v1::GetRunRequest request;
    request.set_run_id(run_ids_[looked_++ % run_ids_.size()]);
    v1::GetRunResponse response;
    grpc::ClientContext context;
    return FromGrpcStatus(stub.GetRun(&context, request, &response));
  }

  void StartWorkers(const std::string& address) {
    for (int64_t i = 0; i < worker_count_; ++i) {
      SimulatedWorker::Options options;
      options.address = address;
      options.number = i;
      options.task_time = absl::Seconds(flags_.task_seconds);
      options.renew_every = absl::Seconds(flags_.renew_seconds);
      options.file = &file_;
      options.buffer_names = {"running_mean"};
      options.stop = &stop_;
      workers_.push_back(std::make_unique<SimulatedWorker>(options));
    }
    statuses_.resize(workers_.size());
    for (size_t i = 0; i < workers_.size(); ++i) {
      threads_.emplace_back([this, i] { statuses_[i] = workers_[i]->Run(); });
    }
  }

  absl::Status StopWorkers(CallTimes* times) {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    for (size_t i = 0; i < workers_.size(); ++i) {
      DISTILLERY_RETURN_IF_ERROR(statuses_[i]);
      task_count_ += workers_[i]->task_count();
      for (const auto& [name, values] : workers_[i]->times()) {
        auto& all = (*times)[name];
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    return absl::OkStatus();
  }

  nlohmann::ordered_json Report(const CallTimes& times, double seconds, double cpu_seconds,
                                int64_t memory) {
    nlohmann::ordered_json json;
    json["workers"] = worker_count_;
    json["runs"] = run_ids_.size();
    json["seconds"] = Rounded(seconds);
    json["tasks_done"] = task_count_;
    size_t calls = 0;
    bool within = true;
    std::fprintf(stderr, "%lld workers, %zu runs\n", static_cast<long long>(worker_count_),
                 run_ids_.size());
    for (const auto& [name, values] : times) {
      calls += values.size();
      const double p50 = 1e3 * Percentile(values, 0.5);
      const double p99 = 1e3 * Percentile(values, 0.99);
      json["calls"][name] = {{"count", values.size()},
                             {"p50_milliseconds", Rounded(p50)},
                             {"p99_milliseconds", Rounded(p99)}};
      if (name != kUploads && name != kDownloads) within = within && p99 < 1e3 * kGoalSeconds;
      std::fprintf(stderr, "  %-22s %7zu   p50 %8.2f ms   p99 %8.2f ms\n", name.c_str(),
                   values.size(), p50, p99);
    }
    const auto count = static_cast<double>(calls);
    json["calls_per_second"] = Rounded(count / seconds);
    json["cpu_microseconds_per_call"] = Rounded(1e6 * cpu_seconds / count);
    json["memory_bytes_per_worker"] = memory / worker_count_;
    json["unary_p99_goal_milliseconds"] = 1e3 * kGoalSeconds;
    json["unary_p99_within_goal"] = within;
    std::fprintf(stderr, "  %.0f calls/s, %.0f microseconds of CPU per call, %.1f KiB per worker\n",
                 count / seconds, 1e6 * cpu_seconds / count,
                 static_cast<double>(memory) / 1024 / static_cast<double>(worker_count_));
    return json;
  }

  const Flags& flags_;
  const std::string folder_;
  const int64_t worker_count_;
  const std::string file_;
  std::vector<std::string> run_ids_;
  size_t looked_ = 0;
  std::atomic<bool> stop_{false};
  std::vector<std::unique_ptr<SimulatedWorker>> workers_;
  std::vector<absl::Status> statuses_;
  std::vector<std::thread> threads_;
  int64_t task_count_ = 0;
};

absl::Status Run(const Flags& flags) {
  // A connection of each worker here.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
  nlohmann::ordered_json json;
  json["cores"] = AvailableCores();
  json["task_seconds"] = flags.task_seconds;
  json["renew_seconds"] = flags.renew_seconds;
  for (const int64_t workers : flags.workers) {
    const std::string place = absl::StrCat(folder.path(), "/", workers);
    DISTILLERY_RETURN_IF_ERROR(MakeFolders(place));
    Scale scale(flags, place, workers);
    DISTILLERY_ASSIGN_OR_RETURN(nlohmann::ordered_json measured, scale.Measure());
    json["cases"].push_back(std::move(measured));
  }
  std::printf("%s\n", json.dump(2).c_str());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  StopSignal::Install();
  Flags flags;
  CommandLine line("Measures a coordinator under many simulated workers.", "coordinator_scale");
  line.Add("--workers", flags.workers, "numbers of workers; may be repeated")
      .Between(1, 4000)
      .ShowDefault();
  line.Add("--seconds", flags.seconds, "per number of workers").Positive().ShowDefault();
  line.Add("--task-seconds", flags.task_seconds, "how long a task takes on average")
      .Positive()
      .ShowDefault();
  line.Add("--renew-seconds", flags.renew_seconds,
           "how often a lease is renewed; it lasts ten times as long")
      .Positive()
      .ShowDefault();
  line.Add("--quick", flags.quick, "few workers and short tasks: whether everything works");
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("coordinator_scale", {"warning"});
  if (flags.quick) {
    flags.workers = {4, 16};
    flags.seconds = 4;
    flags.task_seconds = 0.4;
    flags.renew_seconds = 0.15;
  }
  return ReportStatus("coordinator_scale", Run(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
