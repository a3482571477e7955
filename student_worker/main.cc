// student_worker: takes tasks from a coordinator, trains or evaluates, returns results.
#include <malloc.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/nn/numerics.h"
#include "common/rpc/connection.h"
#include "common/rpc/initialise.h"
#include "common/rpc/metrics_exposer.h"
#include "common/rpc/transport_flags.h"
#include "student_worker/rpc/metrics.h"
#include "student_worker/rpc/worker.h"
#include "student_worker/slots.h"
#include "student_worker/training/torch_tasks.h"

namespace distillery {
namespace {

struct Flags {
  Worker::Options worker;
  TransportOptions transport;
  // May be empty for runs that need no teacher.
  std::string teachers = "127.0.0.1:7001";
  int slots = 1;
  std::string numerics = "fastest";
  MetricsExposer::Options metrics;
  LogOptions log;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  student_worker\n"
    "      coordinator and teacher on this machine\n"
    "  student_worker --coordinator c.example:7002 --teacher t.example:7001 --slots 4 \\\n"
    "      --data-dir /data --tls-certificate worker.pem --tls-key worker-key.pem --tls-ca ca.pem\n"
    "      four tasks at once, MNIST in /data/mnist\n"
    "  student_worker --teacher t0.example:7001,t1.example:7001 ...\n"
    "      two teachers share the shards; when one is away the other has them all\n"
    "  student_worker --teacher teachers.example:7001 ...\n"
    "      all addresses of the name, which may come and go (a Kubernetes headless service)\n"
    "  student_worker --slots 4 --metrics-listen 127.0.0.1:9092 ...\n"
    "      metrics of the four slots at ports 9092 to 9095\n"
    "  student_worker --device cuda:0 ...\n"
    "      train on a GPU; needs a LibTorch with CUDA\n"
    "Without --data-dir: the teacher sends the samples too, and the weights are the same.\n"
    "Stop it with SIGTERM or Ctrl-C: its task is given back and done by another worker.";

std::string DefaultName() {
  char host[65] = "worker";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "-", getpid());
}

// Each slot is a process with an endpoint of its own: slot i has the given port plus i, and
// writes its address to the file that was given with ".i" behind.
MetricsExposer::Options MetricsOfSlot(MetricsExposer::Options options) {
  const int slot = CurrentSlot();
  if (slot < 0 || options.address.empty()) return options;
  const size_t colon = options.address.rfind(':');
  int port = 0;
  if (colon != std::string::npos && absl::SimpleAtoi(options.address.substr(colon + 1), &port) &&
      port > 0) {
    options.address = absl::StrCat(options.address.substr(0, colon + 1), port + slot);
  }
  if (!options.address_file.empty()) absl::StrAppend(&options.address_file, ".", slot);
  return options;
}

absl::Status Work(Flags flags, char** argv) {
  DISTILLERY_RETURN_IF_ERROR(ArmFailpoints());
  DISTILLERY_ASSIGN_OR_RETURN(flags.worker.numerics_fingerprint,
                              ComputeFingerprint(flags.worker.device));
  // Nothing is known here of a GPU's own memory.
  if (flags.worker.device == "cpu") flags.worker.memory_bytes = AvailableMemoryBytes();
  DISTILLERY_RETURN_IF_ERROR(CheckTransport(flags.worker.coordinator_address, flags.transport));
  DISTILLERY_ASSIGN_OR_RETURN(const auto files, WatchTlsFiles(flags.transport));
  std::unique_ptr<TeacherChannels> teachers;
  if (!flags.teachers.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(teachers,
                                TeacherChannels::Open(flags.teachers, flags.transport, files));
  }
  LogInfo("student_worker {}: {}", DISTILLERY_VERSION, ComputeDescription(1));
  std::string wanted_numerics;
  {
    Worker worker(flags.worker, Connection::With(flags.worker.coordinator_address, files),
                  std::move(teachers));
    DISTILLERY_ASSIGN_OR_RETURN(
        const auto exposer,
        MetricsExposer::Start(
            MetricsOfSlot(flags.metrics), flags.transport.insecure,
            std::make_shared<WorkerMetrics>(&worker.statistics(), flags.worker.name)));
    if (exposer != nullptr) LogInfo("metrics at http://{}/metrics", exposer->address());
    std::thread stopper([&worker] {
      StopSignal::Wait();
      worker.Stop();
    });
    const absl::StatusOr<std::string> ended = worker.Run();
    if (!ended.ok()) {
      StopSignal::Request();
      stopper.join();
      return ended.status();
    }
    wanted_numerics = *ended;
    if (wanted_numerics.empty()) {
      stopper.join();
      LogInfo("stopped");
      return absl::OkStatus();
    }
    stopper.detach();  // ends with the process image below
    LogInfo("tasks want numerics {}: starting anew", wanted_numerics);
    EnsureComputeEnvironment(wanted_numerics, argv);
  }
  return absl::InternalError("could not start anew");
}

int Main(int argc, char** argv) {
  StopSignal::Install();
  Flags flags;
  CommandLine line("Takes tasks from a coordinator, trains or evaluates students, returns results.",
                   "student_worker");
  line.Add("--coordinator", flags.worker.coordinator_address, "the coordinator, HOST:PORT")
      .ShowDefault();
  line.Add("--teacher", flags.teachers,
           "teacher services, HOST:PORT[,HOST:PORT...]; a name stands for all its addresses; "
           "\"\" for hard labels alone")
      .ShowDefault();
  line.Add("--data-dir", flags.worker.data_dir,
           "folder of data sets, such as DIR/mnist; digits is built in, and what is not here "
           "comes from the teacher, once, into memory");
  line.Add("--student-dir", flags.worker.student_dir,
           "folder of TorchScript files of students that are no built-in architecture");
  line.Add("--device", flags.worker.device, "where to compute: cpu, cuda or cuda:N").ShowDefault();
  line.Add("--slots", flags.slots, "tasks done at once, each by a process of its own")
      .Between(1, 1024)
      .ShowDefault();
  line.Add("--name", flags.worker.name, "name in the coordinator's record")
      .ShowDefault("HOST-PROCESS");
  AddTransportFlags(&line, &flags.transport);
  AddMetricsFlags(&line, &flags.metrics);
  line.AddCommonFlags(&flags.log);
  line.Footer(kExamples);
  flags.worker.name = DefaultName();
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("student_worker", flags.log);
  if (flags.slots > 1 && CurrentSlot() < 0) return SuperviseSlots(flags.slots, argv);
  return ReportStatus("student_worker", Work(flags, argv));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  // A worker that restarted itself for other numerics keeps them.
  distillery::EnsureComputeEnvironment(distillery::ProcessNumerics(), argv);
  // What one thread loads another frees. With an arena for each thread that takes 12 MiB more, or
  // not, as the threads happen to meet, and a worker's memory is promised.
  mallopt(M_ARENA_MAX, 1);
  return distillery::Main(argc, argv);
}
