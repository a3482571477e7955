// What a teacher service costs a student: samples per second of a worker's task with soft targets
// from a teacher_service against a bare LibTorch loop on hard labels, in one run, in turn. Prints
// JSON, and a table to standard error. Goal: 0.98 of the bare loop with a warm cache.
//
// The services are processes of their own, reached over loopback as student_worker does. The warm
// one has all logits in its cache folder. The live one has none, and remembers fewer rows than an
// epoch has: read in the same order again and again, the oldest rows are always gone when they are
// asked for, so each is computed each time, on the cores that the student trains on. What that must
// cost is shown by the bare loop with a bare forward of as many rows beside it.
//
// Beside the wall clock, the CPU time of the thread that trains is compared: it says the same on a
// machine of one's own, and leaves out what other programs take.
#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/child_process.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/data/catalog.h"
#include "common/nn/numerics.h"
#include "common/rpc/initialise.h"
#include "nlohmann/json.hpp"
#include "student_worker/rpc/teacher_client.h"
#include "tests/benchmarks/bare_forward.h"
#include "tests/benchmarks/bare_training.h"
#include "tests/benchmarks/replica_task.h"
#include "tests/benchmarks/sample_files.h"
#include "tests/benchmarks/server_process.h"

namespace distillery {
namespace {

// In whole batches, and more rows of 10 float32 than fit kLiveMemoryMib.
constexpr int64_t kSamples = 32000;
constexpr char kLiveMemoryMib[] = "1";
constexpr int64_t kShardRows = 2000;
// teacher_service's default, and what a shard is cut into.
constexpr int64_t kTeacherBatchRows = 256;
constexpr double kGoal = 0.98;

struct Flags {
  int rounds = 7;
  std::vector<std::string> students = {"mlp:784-800-800-10", "lenet"};
  std::string teacher = "mlp:784-1200-1200-10";
  std::vector<std::string> server_flags;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  distillation_tax > distillation_tax.json\n"
    "      both students; the table goes to the terminal\n"
    "  distillation_tax --students lenet --rounds 2\n"
    "      a quick look\n"
    "  distillation_tax --server-flags=--compute-slots=1\n"
    "      a live teacher that computes one batch at a time";

double Rounded(double value) { return std::round(1000 * value) / 1000; }

// A teacher_service, and the way of a worker to it.
class Teacher {
 public:
  static absl::StatusOr<std::unique_ptr<Teacher>> Start(std::vector<std::string> arguments,
                                                        const std::string& folder) {
    DISTILLERY_ASSIGN_OR_RETURN(ServerProcess server,
                                ServerProcess::Start(std::move(arguments), folder));
    DISTILLERY_ASSIGN_OR_RETURN(auto channels,
                                TeacherChannels::Open(server.address(), {}, nullptr));
    return std::unique_ptr<Teacher>(new Teacher(std::move(server), std::move(channels)));
  }

  SoftTargetSource* source() { return &client_; }
  double cpu_seconds() const { return server_.cpu_seconds(); }

 private:
  Teacher(ServerProcess server, std::unique_ptr<TeacherChannels> channels)
      : server_(std::move(server)),
        channels_(std::move(channels)),
        client_(channels_.get(), &canceller_, [](const std::string& /*waiting_for*/) {}) {}

  const ServerProcess server_;
  const std::unique_ptr<TeacherChannels> channels_;
  CallCanceller canceller_;
  TeacherClient client_;
};

// One way to train an epoch, and what was measured of it; one figure per round.
struct Load {
  std::string name;
  std::function<absl::StatusOr<ReplicaTask::Trained>()> run;
  // Null without one.
  const Teacher* teacher = nullptr;
  bool has_goal = false;
  std::vector<double> seconds;
  // The CPU time of the thread that trains.
  std::vector<double> cpu_seconds;
  std::vector<double> teacher_wait_shares;
  std::vector<double> data_wait_shares;
  std::vector<double> teacher_cpu_seconds;
};

absl::Status MeasureOnce(Load* load) {
  if (StopSignal::Requested()) return absl::CancelledError("stopped");
  const double teacher_cpu = load->teacher == nullptr ? 0 : load->teacher->cpu_seconds();
  const double cpu = ThreadCpuSeconds();
  DISTILLERY_ASSIGN_OR_RETURN(const ReplicaTask::Trained trained, load->run());
  load->cpu_seconds.push_back(ThreadCpuSeconds() - cpu);
  load->seconds.push_back(trained.seconds);
  load->teacher_wait_shares.push_back(trained.metrics.teacher_wait_seconds / trained.seconds);
  load->data_wait_shares.push_back(trained.metrics.data_wait_seconds / trained.seconds);
  if (load->teacher == nullptr) return absl::OkStatus();
  load->teacher_cpu_seconds.push_back(load->teacher->cpu_seconds() - teacher_cpu);
  return absl::OkStatus();
}

// The ratio of the seconds of `base` to those of the same round.
double Ratio(const std::vector<double>& base, const std::vector<double>& seconds) {
  std::vector<double> ratios;
  for (size_t i = 0; i < seconds.size(); ++i) ratios.push_back(base[i] / seconds[i]);
  return Rounded(Median(ratios));
}

nlohmann::ordered_json Report(const Load& load, const Load& bare) {
  nlohmann::ordered_json json;
  const double speed = static_cast<double>(kSamples) / Median(load.seconds);
  json["load"] = load.name;
  json["samples_per_second"] = std::round(speed);
  const double ratio = Ratio(bare.seconds, load.seconds);
  const double cpu_ratio = Ratio(bare.cpu_seconds, load.cpu_seconds);
  json["ratio"] = ratio;
  json["cpu_ratio"] = cpu_ratio;
  if (load.has_goal) json["goal"] = kGoal;
  json["teacher_wait_share"] = Rounded(Median(load.teacher_wait_shares));
  json["data_wait_share"] = Rounded(Median(load.data_wait_shares));
  if (load.teacher != nullptr) {
    json["teacher_cpu_seconds"] = Rounded(Median(load.teacher_cpu_seconds));
  }
  json["seconds_rounds"] = nlohmann::json::array();
  for (const double seconds : load.seconds) {
    json["seconds_rounds"].push_back(Rounded(seconds));
  }
  json["training_cpu_seconds"] = Rounded(Median(load.cpu_seconds));
  std::fprintf(stderr, "  %-34s %8.0f samples/s  ratio %.3f (CPU time %.3f)  teacher wait %.3f\n",
               load.name.c_str(), speed, ratio, cpu_ratio, Median(load.teacher_wait_shares));
  return json;
}

struct Setting {
  std::shared_ptr<const Dataset> dataset;
  std::unique_ptr<BareForward> forward;
  std::unique_ptr<Teacher> warm;
  std::unique_ptr<Teacher> live;
};

absl::StatusOr<Setting> Prepare(const Flags& flags, const std::string& folder) {
  Setting setting;
  const std::string model = folder + "/teacher.pt";
  DISTILLERY_RETURN_IF_ERROR(WriteIdxFolder(folder + "/data/random", kSamples));
  DISTILLERY_RETURN_IF_ERROR(WriteModelFile(model, {flags.teacher}));
  DISTILLERY_ASSIGN_OR_RETURN(
      setting.dataset, DatasetCatalog(folder + "/data").Open({"random", "train", kShardRows}));
  DISTILLERY_ASSIGN_OR_RETURN(setting.forward, BareForward::Load(model));
  std::vector<std::string> arguments = {ProgramFolder() + "/teacher_service",
                                        "--model",
                                        model,
                                        "--data-dir",
                                        folder + "/data",
                                        "--listen",
                                        "127.0.0.1:0",
                                        "--log-level",
                                        "warning",
                                        "--batch-rows",
                                        std::to_string(kTeacherBatchRows),
                                        "--cache-memory-mib",
                                        kLiveMemoryMib};
  arguments.insert(arguments.end(), flags.server_flags.begin(), flags.server_flags.end());
  DISTILLERY_ASSIGN_OR_RETURN(setting.live, Teacher::Start(arguments, folder));
  arguments.insert(arguments.end(), {"--cache-dir", folder + "/cache"});
  DISTILLERY_ASSIGN_OR_RETURN(setting.warm, Teacher::Start(arguments, folder));
  return setting;
}

// The bare loop while another thread computes the teacher's logits of as many samples; until both
// are done.
ReplicaTask::Trained TrainBesideForward(BareTraining& loop, BareForward& forward) {
  const absl::Time start = absl::Now();
  std::thread beside([&] { forward.Compute(kTeacherBatchRows, kSamples); });
  loop.TrainEpoch();
  beside.join();
  return {absl::ToDoubleSeconds(absl::Now() - start), {}};
}

// CPU seconds of a bare forward of all samples, with nothing beside it.
double ForwardSeconds(BareForward& forward) {
  const double start = OwnCpuSeconds();
  forward.Compute(kTeacherBatchRows, kSamples);
  return OwnCpuSeconds() - start;
}

absl::StatusOr<nlohmann::ordered_json> Measure(const Flags& flags, const std::string& student,
                                               const Setting& setting) {
  std::fprintf(stderr, "%s\n", student.c_str());
  const RunSpec hard = HardLabelSpec(student, *setting.dataset);
  RunSpec soft = hard;
  soft.loss.alpha = 0.9;
  DISTILLERY_ASSIGN_OR_RETURN(const auto hard_task, ReplicaTask::Create(hard, setting.dataset));
  DISTILLERY_ASSIGN_OR_RETURN(const auto soft_task, ReplicaTask::Create(soft, setting.dataset));
  DISTILLERY_ASSIGN_OR_RETURN(const auto loop,
                              BareTraining::Create(hard, *setting.dataset, hard_task.card()));

  std::vector<Load> loads(5);
  loads[0].name = "bare loop, hard labels";
  loads[0].run = [&] { return ReplicaTask::Trained{loop->TrainEpoch(), {}}; };
  loads[1].name = "worker, hard labels";
  loads[1].run = [&] { return hard_task.Train(); };
  loads[2].name = "worker, teacher with a warm cache";
  loads[2].run = [&] { return soft_task.Train(setting.warm->source()); };
  loads[2].teacher = setting.warm.get();
  loads[2].has_goal = true;
  loads[3].name = "worker, live teacher beside it";
  loads[3].run = [&] { return soft_task.Train(setting.live->source()); };
  loads[3].teacher = setting.live.get();
  loads[4].name = "bare loop, bare forward beside it";
  loads[4].run = [&] { return TrainBesideForward(*loop, *setting.forward); };
  // Warms both sides, and fills the cache.
  for (const Load& load : loads) DISTILLERY_RETURN_IF_ERROR(load.run().status());
  std::vector<double> forward_seconds;
  for (int round = 0; round < flags.rounds; ++round) {
    for (Load& load : loads) DISTILLERY_RETURN_IF_ERROR(MeasureOnce(&load));
    forward_seconds.push_back(ForwardSeconds(*setting.forward));
  }
  nlohmann::ordered_json json;
  json["student"] = student;
  for (const Load& load : loads) json["loads"].push_back(Report(load, loads.front()));
  json["live_teacher_to_bare_forward_beside"] = Ratio(loads[4].seconds, loads[3].seconds);
  json["bare_forward_cpu_seconds"] = Rounded(Median(forward_seconds));
  return json;
}

absl::Status Run(const Flags& flags) {
  DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
  DISTILLERY_ASSIGN_OR_RETURN(const Setting setting, Prepare(flags, folder.path()));
  nlohmann::ordered_json json;
  json["compute"] = ComputeDescription(1);
  json["teacher"] = flags.teacher;
  json["samples"] = kSamples;
  json["batch_size"] = HardLabelSpec("lenet", *setting.dataset).training.batch_size;
  json["rounds"] = flags.rounds;
  for (const std::string& student : flags.students) {
    DISTILLERY_ASSIGN_OR_RETURN(nlohmann::ordered_json measured, Measure(flags, student, setting));
    json["students"].push_back(std::move(measured));
  }
  std::printf("%s\n", json.dump(2).c_str());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  EnsureComputeEnvironment("fastest", argv);
  StopSignal::Install();
  Flags flags;
  CommandLine line("Compares training beside a teacher_service with a bare loop on hard labels.",
                   "distillation_tax");
  line.Add("--rounds", flags.rounds, "how often each is measured, in turn")
      .Between(1, 1000)
      .ShowDefault();
  line.Add("--students", flags.students,
           "built-in architectures for 28x28, mlp:... or lenet; may be repeated")
      .ShowDefault();
  line.Add("--teacher", flags.teacher, "the teacher's architecture").ShowDefault();
  line.Add("--server-flags", flags.server_flags, "more flags for teacher_service");
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  return ReportStatus("distillation_tax", Run(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
