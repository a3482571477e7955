// Weights through the coordinator against what the machine can do, in one run, alternating: GB/s of
// downloads and uploads by K replicas at once, seconds to average, and the coordinator's peak
// memory against one model. Prints JSON, and a table to standard error.
//
// The coordinator is a process of its own; each replica is a worker with a connection of its own.
// Every delta is checked, synced and recorded before it is acknowledged. Compared are a bare gRPC
// stream over loopback of as many bytes, from or to another process, and a sequential write of as
// many bytes with fdatasync. Those streams and ours end in the same client, which takes messages as
// bytes; "worker's client" is what student_worker does, which parses and checks: it shares the
// processors with the coordinator here, which it does not do elsewhere.
//
// Goals: uploads 0.6 of the slower of stream and file, downloads 0.6 of the stream, peak memory
// 2.5 models and 64 MiB.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/child_process.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/rpc/initialise.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "common/weights/weights.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "nlohmann/json.hpp"
#include "student_worker/rpc/coordinator_client.h"
#include "tests/benchmarks/bare_exchange.h"
#include "tests/benchmarks/exchange_client.h"
#include "tests/benchmarks/server_process.h"

namespace distillery {
namespace {

constexpr double kGoal = 0.6;
constexpr double kMemoryModels = 2.5;
constexpr int64_t kMemoryBytes = int64_t{64} << 20;
constexpr int64_t kBareMessageBytes = 1 << 20;
// Whole weights in the memory of this process.
constexpr size_t kMostWorkerClients = 4;

struct Flags {
  std::vector<int64_t> parameters = {1'000'000, 10'000'000, 100'000'000};
  std::vector<int64_t> replicas = {4, 16, 64};
  // 64 replicas of more take more disk than is nice.
  int64_t most_bytes = int64_t{7} << 30;
  int rounds = 3;
  bool quick = false;
  // Flags of the bare side.
  bool serve = false;
  std::string address_file;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  coordinator_exchange > coordinator_exchange.json\n"
    "      all sizes and numbers of replicas; the table goes to the terminal\n"
    "  coordinator_exchange --parameters 10000000 --replicas 4 --rounds 5\n"
    "      one case";

// Parameters in tensors of up to 4 million, and the buffers of a BatchNorm.
WeightsLayout MakeLayout(int64_t parameters) {
  constexpr int64_t kTensor = 4'000'000;
  std::vector<TensorSpec> tensors;
  for (int64_t left = parameters; left > 0; left -= kTensor) {
    TensorSpec tensor;
    tensor.name = absl::StrCat("layer", 1000 + tensors.size(), ".weight");
    tensor.shape = {std::min(kTensor, left)};
    tensors.push_back(std::move(tensor));
  }
  TensorSpec mean;
  mean.name = "norm.running_mean";
  mean.shape = {256};
  TensorSpec steps;
  steps.name = "norm.num_batches_tracked";
  steps.type = ElementType::kInt64;
  tensors.push_back(std::move(mean));
  tensors.push_back(std::move(steps));
  return *WeightsLayout::Create(std::move(tensors));
}

std::string MakeFile(int64_t parameters, int64_t seed) {
  Weights weights(MakeLayout(parameters));
  RandomStream random(seed, "benchmark");
  for (const TensorSpec& tensor : weights.layout().tensors()) {
    if (tensor.type != ElementType::kFloat32) continue;
    auto* const values = reinterpret_cast<float*>(weights.Bytes(tensor));
    for (int64_t i = 0; i < tensor.element_count; ++i) values[i] = random.Uniform() - 0.5F;
  }
  return weights.file();
}

// What was measured of one way to move bytes; one entry per round.
struct Kind {
  std::string name;
  std::vector<double> bytes_per_second = {};
  double bytes = 0;
  double coordinator_cpu_seconds = 0;
};

double Rounded(double value) { return std::round(1000 * value) / 1000; }

// Runs body(0) .. body(count - 1), each on a thread; the first error.
absl::Status AtOnce(size_t count, const std::function<absl::Status(size_t)>& body) {
  std::vector<absl::Status> statuses(count);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] { statuses[i] = body(i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) DISTILLERY_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

// One number of parameters and of replicas.
class Case {
 public:
  Case(const Flags& flags, const std::string& folder, const ServerProcess& bare,
       const std::string& delta, int64_t replicas)
      : flags_(flags),
        folder_(folder),
        bare_(NewConnection(bare.address())),
        delta_(delta),
        replicas_(static_cast<size_t>(replicas)),
        total_(replicas * delta.size()),
        messages_(UploadMessages(delta, UploadChunkBytes(static_cast<int64_t>(delta.size())))) {}

  absl::StatusOr<nlohmann::ordered_json> Measure(const std::string& initial_weights) {
    DISTILLERY_ASSIGN_OR_RETURN(
        ServerProcess coordinator,
        ServerProcess::Start(
            {ProgramFolder() + "/coordinator", "--listen", "127.0.0.1:0", "--state-dir",
             folder_ + "/state", "--lease-seconds", "3600", "--log-level", "warning"},
            folder_));
    coordinator_ = &coordinator;
    idle_memory_ = MemoryOf(coordinator.id(), "VmRSS");
    DISTILLERY_RETURN_IF_ERROR(Begin(initial_weights));
    // The first warms all sides.
    for (round_ = 0; round_ <= 2 * flags_.rounds; ++round_) {
      if (StopSignal::Requested()) return absl::CancelledError("stopped");
      DISTILLERY_RETURN_IF_ERROR(Round());
      if (round_ > 0) continue;
      for (Kind* const kind : Kinds()) *kind = Kind{kind->name, {}, 0, 0};
      average_seconds_.clear();
    }
    return Report();
  }

 private:
  struct WorkerOfReplica {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<CoordinatorClient> control;
    std::string worker_id;
    Lease lease;
  };

  std::vector<Kind*> Kinds() {
    return {&bare_download_, &bare_upload_,     &file_,         &download_,
            &upload_,        &worker_download_, &worker_upload_};
  }

  // Registers the workers, submits a run and gives it its first weights.
  absl::Status Begin(const std::string& initial_weights) {
    for (size_t i = 0; i < replicas_; ++i) {
      WorkerOfReplica worker;
      worker.channel = NewConnection(coordinator_->address());
      worker.control = std::make_unique<CoordinatorClient>(worker.channel, &canceller_);
      DISTILLERY_ASSIGN_OR_RETURN(
          const auto registration,
          worker.control->RegisterWorker(RandomHex(16), "benchmark", "benchmark", "fastest"));
      worker.worker_id = registration.worker_id;
      workers_.push_back(std::move(worker));
    }
    RunSpec spec;
    spec.name = "exchange";
    spec.student.architecture = "mlp:64-10";  // is not looked at: workers make W_0
    spec.loss.alpha = 0;
    spec.training.rounds = 2 * flags_.rounds + 1;
    spec.training.replicas = static_cast<int64_t>(replicas_);
    spec.training.local_steps = 1;
    spec.training.batch_size = 100;
    spec.evaluation.every_rounds = 0;
    v1::SubmitRunRequest request;
    request.set_request_id(RandomHex(16));
    *request.mutable_spec() = ToProto(spec);
    v1::SubmitRunResponse response;
    stub_ = v1::CoordinatorService::NewStub(workers_[0].channel);
    grpc::ClientContext context;
    DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(stub_->SubmitRun(&context, request, &response)));
    run_id_ = response.run().run_id();
    DISTILLERY_RETURN_IF_ERROR(LeaseOne(workers_[0]));
    ResultHeader header;
    header.request_id = RandomHex(16);
    header.lease = workers_[0].lease;
    header.buffer_names = {"norm.num_batches_tracked", "norm.running_mean"};
    return workers_[0].control->UploadDelta(header, initial_weights, /*again=*/false);
  }

  absl::Status LeaseOne(WorkerOfReplica& worker) {
    DISTILLERY_ASSIGN_OR_RETURN(
        const LeasedWork work,
        worker.control->LeaseTask(RandomHex(16), worker.worker_id, absl::Seconds(30)));
    if (!work.task.has_value()) return absl::UnavailableError("no task came");
    worker.lease = work.task->lease;
    return absl::OkStatus();
  }

  // Times `body`, which moves `bytes`.
  absl::Status Time(Kind& kind, double bytes, const std::function<absl::Status()>& body) {
    const double cpu = coordinator_->cpu_seconds();
    const absl::Time start = absl::Now();
    DISTILLERY_RETURN_IF_ERROR(body());
    kind.bytes_per_second.push_back(bytes / absl::ToDoubleSeconds(absl::Now() - start));
    kind.bytes += bytes;
    kind.coordinator_cpu_seconds += coordinator_->cpu_seconds() - cpu;
    return absl::OkStatus();
  }

  absl::Status Round() {
    const auto total = static_cast<double>(total_);
    ExchangeClient bare(bare_);
    DISTILLERY_RETURN_IF_ERROR(Time(bare_download_, total, [&] {
      return bare.Download(BareDownload(kBareMessageBytes, total_)).status();
    }));
    const std::string buffer(kBareMessageBytes, 'x');
    const auto bare_messages = BareMessages(buffer, total_);
    DISTILLERY_RETURN_IF_ERROR(
        Time(bare_upload_, total, [&] { return bare.Upload("", bare_messages); }));
    DISTILLERY_ASSIGN_OR_RETURN(const double seconds, WriteBareFile(folder_ + "/bare", total_));
    file_.bytes_per_second.push_back(total / seconds);
    file_.bytes += total;

    for (WorkerOfReplica& worker : workers_) DISTILLERY_RETURN_IF_ERROR(LeaseOne(worker));
    DISTILLERY_RETURN_IF_ERROR(Time(download_, total, [&] {
      return AtOnce(replicas_, [&](size_t i) { return Download(workers_[i]); });
    }));
    const size_t some = std::min(replicas_, kMostWorkerClients);
    DISTILLERY_RETURN_IF_ERROR(
        Time(worker_download_, static_cast<double>(some * delta_.size()), [&] {
          return AtOnce(some, [&](size_t i) {
            return workers_[i].control->DownloadWeights(run_id_, round_).status();
          });
        }));
    if (round_ % 2 == 1) {
      DISTILLERY_RETURN_IF_ERROR(Time(upload_, total, [&] {
        return AtOnce(replicas_, [&](size_t i) { return Upload(workers_[i]); });
      }));
    } else {
      DISTILLERY_RETURN_IF_ERROR(Time(worker_upload_, total, [&] {
        return AtOnce(replicas_, [&](size_t i) {
          return workers_[i].control->UploadDelta(HeaderOf(workers_[i]), delta_, false);
        });
      }));
    }
    const absl::Time start = absl::Now();
    while (true) {
      DISTILLERY_ASSIGN_OR_RETURN(const int64_t completed, CompletedRounds());
      if (completed > round_) break;
      absl::SleepFor(absl::Milliseconds(1));
    }
    average_seconds_.push_back(absl::ToDoubleSeconds(absl::Now() - start));
    return absl::OkStatus();
  }

  absl::Status Download(WorkerOfReplica& worker) {
    v1::DownloadWeightsRequest request;
    request.set_run_id(run_id_);
    request.set_round(static_cast<int32_t>(round_));
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t bytes,
                                ExchangeClient(worker.channel).Download(request));
    if (bytes > static_cast<int64_t>(delta_.size())) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat("a download of ", bytes, " bytes"));
  }

  static ResultHeader HeaderOf(const WorkerOfReplica& worker) {
    ResultHeader header;
    header.request_id = RandomHex(16);
    header.lease = worker.lease;
    header.metrics.sample_count = 100;
    header.metrics.step_count = 1;
    return header;
  }

  absl::Status Upload(WorkerOfReplica& worker) {
    const ResultHeader header = HeaderOf(worker);
    v1::UploadDeltaRequest message;
    message.mutable_header()->set_request_id(header.request_id);
    *message.mutable_header()->mutable_lease() = ToProto(header.lease);
    *message.mutable_header()->mutable_metrics() = ToProto(header.metrics);
    message.mutable_header()->set_byte_count(static_cast<int64_t>(delta_.size()));
    return ExchangeClient(worker.channel).Upload(message.SerializeAsString(), messages_);
  }

  absl::StatusOr<int64_t> CompletedRounds() {
    v1::GetRunRequest request;
    request.set_run_id(run_id_);
    v1::GetRunResponse response;
    grpc::ClientContext context;
    DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(stub_->GetRun(&context, request, &response)));
    if (response.run().state() != v1::RUN_STATE_RUNNING) {
      return absl::UnavailableError(absl::StrCat("the run ended: ", response.run().state_reason()));
    }
    return response.run().completed_round_count();
  }

  nlohmann::ordered_json Report() {
    nlohmann::ordered_json json;
    const auto model = static_cast<int64_t>(delta_.size());
    json["model_bytes"] = model;
    json["replicas"] = replicas_;
    std::fprintf(stderr, "model of %.1f MB, %zu replicas\n", static_cast<double>(model) / 1e6,
                 replicas_);
    for (Kind* const kind : Kinds()) {
      nlohmann::ordered_json measured;
      measured["gigabytes_per_second"] = Rounded(Median(kind->bytes_per_second) / 1e9);
      for (const double value : kind->bytes_per_second) {
        measured["gigabytes_per_second_rounds"].push_back(Rounded(value / 1e9));
      }
      measured["coordinator_cpu_seconds_per_gigabyte"] =
          Rounded(kind->coordinator_cpu_seconds / kind->bytes * 1e9);
      std::fprintf(stderr, "  %-28s %7.3f GB/s   coordinator %.3f CPU s/GB\n", kind->name.c_str(),
                   Median(kind->bytes_per_second) / 1e9,
                   kind->coordinator_cpu_seconds / kind->bytes * 1e9);
      json[kind->name] = std::move(measured);
    }
    const double stream_down = Median(bare_download_.bytes_per_second);
    const double slower =
        std::min(Median(bare_upload_.bytes_per_second), Median(file_.bytes_per_second));
    const double download_ratio = Median(download_.bytes_per_second) / stream_down;
    const double upload_ratio = Median(upload_.bytes_per_second) / slower;
    const int64_t peak = MemoryOf(coordinator_->id(), "VmHWM");
    const int64_t limit =
        static_cast<int64_t>(kMemoryModels * static_cast<double>(model)) + kMemoryBytes;
    json["download_ratio"] = Rounded(download_ratio);
    json["upload_ratio"] = Rounded(upload_ratio);
    json["ratio_goal"] = kGoal;
    json["average_seconds"] = Rounded(Median(average_seconds_));
    json["peak_memory_bytes"] = peak;
    json["idle_memory_bytes"] = idle_memory_;
    json["peak_memory_limit_bytes"] = limit;
    json["peak_memory_within_limit"] = peak > 0 && peak <= limit;
    std::fprintf(stderr,
                 "  download %.3f of the stream, upload %.3f of the slower; averaged in %.3f s; "
                 "peak memory %.1f MiB of %.1f allowed\n",
                 download_ratio, upload_ratio, Median(average_seconds_),
                 static_cast<double>(peak) / (1 << 20), static_cast<double>(limit) / (1 << 20));
    return json;
  }

  const Flags& flags_;
  const std::string folder_;
  const std::shared_ptr<grpc::Channel> bare_;
  const std::string& delta_;
  const size_t replicas_;
  const int64_t total_;
  const std::vector<grpc::ByteBuffer> messages_;
  CallCanceller canceller_;
  const ServerProcess* coordinator_ = nullptr;
  std::unique_ptr<v1::CoordinatorService::Stub> stub_;
  std::vector<WorkerOfReplica> workers_;
  std::string run_id_;
  int64_t round_ = 0;
  int64_t idle_memory_ = 0;
  Kind bare_download_{"bare stream, down"};
  Kind bare_upload_{"bare stream, up"};
  Kind file_{"bare file with fdatasync"};
  Kind download_{"download"};
  Kind upload_{"upload"};
  Kind worker_download_{"download, worker's client"};
  Kind worker_upload_{"upload, worker's client"};
  std::vector<double> average_seconds_;
};

absl::Status Run(const Flags& flags) {
  DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
  DISTILLERY_ASSIGN_OR_RETURN(
      const ServerProcess bare,
      ServerProcess::Start({ProgramFolder() + "/coordinator_exchange", "--serve"}, folder.path()));
  nlohmann::ordered_json json;
  json["cores"] = AvailableCores();
  json["rounds"] = flags.rounds;
  bool within = true;
  for (const int64_t parameters : flags.parameters) {
    const std::string initial = MakeFile(parameters, 1);
    const std::string delta = MakeFile(parameters, 2);
    for (const int64_t replicas : flags.replicas) {
      if (replicas * static_cast<int64_t>(delta.size()) > flags.most_bytes) continue;
      const std::string place = absl::StrCat(folder.path(), "/", parameters, "-", replicas);
      DISTILLERY_RETURN_IF_ERROR(MakeFolders(place));
      DISTILLERY_ASSIGN_OR_RETURN(nlohmann::ordered_json measured,
                                  Case(flags, place, bare, delta, replicas).Measure(initial));
      std::filesystem::remove_all(place);
      within = within && measured["peak_memory_within_limit"].get<bool>();
      json["cases"].push_back(std::move(measured));
    }
  }
  std::printf("%s\n", json.dump(2).c_str());
  // The one goal that no other program on the machine can disturb.
  return within ? absl::OkStatus()
                : absl::ResourceExhaustedError("the coordinator took more memory than its goal");
}

int Main(int argc, char** argv) {
  StopSignal::Install();
  Flags flags;
  CommandLine line("Compares weights through the coordinator with bare streams and files.",
                   "coordinator_exchange");
  line.Add("--parameters", flags.parameters, "sizes of models; may be repeated")
      .Between(int64_t{1}, int64_t{1'000'000'000})
      .ShowDefault();
  line.Add("--replicas", flags.replicas, "numbers of replicas; may be repeated")
      .Between(1, 512)
      .ShowDefault();
  line.Add("--most-bytes", flags.most_bytes, "leave out what moves more in a round").ShowDefault();
  line.Add("--rounds", flags.rounds, "how often each kind is measured, in turn")
      .Between(1, 1000)
      .ShowDefault();
  line.Add("--quick", flags.quick, "one small case: whether everything works");
  line.Add("--serve", flags.serve).Group("");
  line.Add("--address-file", flags.address_file).Group("");
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("coordinator_exchange", {"warning"});
  if (flags.quick) {
    flags.parameters = {250'000};
    flags.replicas = {4};
    flags.rounds = 1;
  }
  return ReportStatus("coordinator_exchange",
                      flags.serve ? ServeBareExchange(flags.address_file) : Run(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
