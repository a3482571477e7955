// teacher_service: serves soft targets of TorchScript models over gRPC.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/base/terminal.h"
#include "common/nn/numerics.h"
#include "common/rpc/initialise.h"
#include "common/rpc/metrics_exposer.h"
#include "common/rpc/server.h"
#include "common/rpc/transport_flags.h"
#include "teacher_service/model_flags.h"
#include "teacher_service/rpc/inference_service.h"
#include "teacher_service/rpc/metrics.h"
#include "teacher_service/rpc/teacher_service.h"
#include "teacher_service/teachers/replicated_teacher.h"
#include "teacher_service/teachers/torch_teacher.h"
#include "teacher_service/warm.h"

namespace distillery {
namespace {

struct Flags {
  RpcServer::Options server;
  MetricsExposer::Options metrics;
  TeacherHost::Options host;
  TeacherServiceImpl::Options service;
  std::vector<std::string> models;
  std::vector<std::string> ensembles;
  std::string ensemble_mean = "probabilities";
  ModelFlag model_defaults;
  std::string device = "cpu";
  bool cuda_graphs = false;
  int64_t compute_threads = 1;
  double cache_gib = 10;
  int64_t cache_memory_mib = 256;
  std::string cache_precision = "float32";
  double queue_delay_ms = 2;
  double idle_seconds = 60;
  int64_t unread_mib = 256;
  std::string numerics = "fastest";
  LogOptions log;
  // Flags of `warm`.
  std::string warm_dataset;
  std::string warm_augmentation = "none";
  WarmJob warm;
  bool json = false;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  teacher_service --model teacher.pt\n"
    "      serve on loopback; the built-in digits data is there\n"
    "  teacher_service --model teacher.pt --data-dir /data --cache-dir /var/cache/distillery \\\n"
    "      --listen 0.0.0.0:7001 --tls-certificate teacher.pem \\\n"
    "      --tls-key teacher-key.pem --tls-ca ca.pem\n"
    "      serve MNIST shards to other machines over mutual TLS, each computed once\n"
    "  teacher_service --model big=big.pt,max_batch_rows=256 --model small=small.pt \\\n"
    "      --ensemble both=big:0.7,small:0.3\n"
    "      two models, and a third that is their mean\n"
    "  teacher_service --model teacher.pt --device cuda:0,cuda:1 --precision bfloat16\n"
    "      on two GPUs\n"
    "  teacher_service --model teacher.pt --cache-dir cache warm --dataset mnist/train@2000\n"
    "      fill the cache ahead";

class Models {
 public:
  explicit Models(const Flags& flags) : flags_(flags) {}

  // Reads the flags; first of all.
  absl::Status Parse() {
    ModelFlag defaults = flags_.model_defaults;
    const absl::StatusOr<std::vector<std::string>> devices = ParseDevices(flags_.device, ',');
    if (!devices.ok()) return Annotate(devices.status(), "--device");
    defaults.devices = *devices;
    for (const std::string& text : flags_.models) {
      DISTILLERY_ASSIGN_OR_RETURN(ModelFlag model, ParseModelFlag(text, defaults));
      models_.push_back(std::move(model));
    }
    return absl::OkStatus();
  }
  const std::vector<ModelFlag>& models() const { return models_; }

  // Names all models, so that calls for them wait rather than fail.
  absl::Status Declare(ModelRegistry& registry) {
    for (const ModelFlag& model : models_) {
      DISTILLERY_RETURN_IF_ERROR(registry.Declare(model.name));
    }
    for (const std::string& text : flags_.ensembles) {
      const std::pair<std::string, std::string> pair =
          absl::StrSplit(text, absl::MaxSplits('=', 1));
      EnsembleOptions options;
      options.mean = flags_.ensemble_mean == "logits" ? EnsembleOptions::Mean::kLogits
                                                      : EnsembleOptions::Mean::kProbabilities;
      DISTILLERY_ASSIGN_OR_RETURN(options.members, ParseEnsembleMembers(pair.second));
      DISTILLERY_RETURN_IF_ERROR(registry.DeclareEnsemble(pair.first, options));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<Teacher>> Load(const std::string& name) const {
    for (const ModelFlag& model : models_) {
      if (model.name == name) return LoadOne(model);
    }
    return absl::NotFoundError(absl::StrCat("no model ", name));
  }

  absl::Status LoadAll(ModelRegistry& registry, const std::function<void(std::string)>& loaded) {
    for (const ModelFlag& model : models_) {
      DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<Teacher> teacher, Load(model.name));
      const TeacherInfo info = teacher->info();
      DISTILLERY_RETURN_IF_ERROR(registry.Set(model.name, std::move(teacher)));
      LogInfo("teacher {}: {} parameters, {} classes, digest {}", info.model_name,
              info.parameter_count, info.card.class_count(), info.digest);
      loaded(model.name);
    }
    for (const std::string& name : registry.Names()) {
      if (!registry.IsEnsemble(name)) continue;
      DISTILLERY_ASSIGN_OR_RETURN(const auto teacher, registry.Find(name));
      LogInfo("ensemble {}: digest {}", name, teacher->info().digest);
      loaded(name);
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<std::shared_ptr<Teacher>> LoadOne(const ModelFlag& model) const {
    TorchTeacherOptions options;
    options.name = model.name;
    options.model_path = model.path;
    if (!model.card_path.empty()) {
      DISTILLERY_ASSIGN_OR_RETURN(const std::string json, ReadFile(model.card_path, 1 << 20));
      absl::StatusOr<ModelCard> card = ParseModelCard(json);
      if (!card.ok()) return Annotate(card.status(), model.card_path);
      options.card = *std::move(card);
    }
    options.batch_rows = model.batch_rows;
    options.max_batch_rows = model.max_batch_rows;
    options.compute_threads = flags_.compute_threads;
    options.precision = model.precision;
    options.cuda_graphs = flags_.cuda_graphs;
    options.half_logits = flags_.cache_precision == "float16";
    std::vector<TeacherReplica> replicas;
    for (const std::string& device : model.devices) {
      options.device = device;
      DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<Teacher> teacher, LoadTorchTeacher(options));
      replicas.push_back({device, std::move(teacher)});
    }
    if (replicas.size() == 1) return replicas.front().teacher;
    return MakeReplicatedTeacher(std::move(replicas));
  }

  const Flags& flags_;
  std::vector<ModelFlag> models_;
};

absl::Status Warm(const Flags& flags, Models& models) {
  WarmJob job = flags.warm;
  const std::pair<std::string, std::string> sized =
      absl::StrSplit(flags.warm_dataset, absl::MaxSplits('@', 1));
  const std::pair<std::string, std::string> named =
      absl::StrSplit(sized.first, absl::MaxSplits('/', 1));
  job.dataset.name = named.first;
  job.dataset.split = named.second.empty() ? "train" : named.second;
  job.dataset.shard_size = 128;
  if (!sized.second.empty() && !absl::SimpleAtoi(sized.second, &job.dataset.shard_size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--dataset \"", flags.warm_dataset, "\": write NAME/SPLIT@SHARD_SIZE"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(job.view.augmentation, Augmentation::Parse(flags.warm_augmentation));
  DISTILLERY_ASSIGN_OR_RETURN(const auto host, TeacherHost::Create(flags.host));
  DISTILLERY_RETURN_IF_ERROR(models.Declare(host->models()));
  LogInfo("{}", ComputeDescription(flags.compute_threads));
  DISTILLERY_RETURN_IF_ERROR(models.LoadAll(host->models(), [](const std::string&) {}));
  const absl::StatusOr<WarmResult> result = WarmCache(*host, job);
  host->Close();
  if (!result.ok()) return result.status();
  if (flags.json) {
    const nlohmann::json json = {{"shard_count", result->shard_count},
                                 {"cached_count", result->cached_count},
                                 {"row_count", result->row_count},
                                 {"cache_bytes", host->cache()->stats().bytes}};
    std::puts(JsonText(json).c_str());
  } else {
    Print(stdout, "%lld shards of %s are in %s (%lld were there), %.1f MiB\n",
          static_cast<long long>(result->shard_count), flags.warm_dataset.c_str(),
          flags.host.cache.folder.c_str(), static_cast<long long>(result->cached_count),
          static_cast<double>(host->cache()->stats().bytes) / (1 << 20));
  }
  return absl::OkStatus();
}

// Waits until no stream and no query is left, at most for `limit`. Calls that watch health never
// end by themselves, so the server's own grace would always be used up where there are some.
void AwaitCalls(const TeacherHost& host, const StreamService& streams, absl::Duration limit) {
  const ComputeScheduler& scheduler = host.scheduler();
  const absl::Duration end = SteadyNow() + limit;
  while (SteadyNow() < end && (streams.statistics().open_count > 0 || scheduler.busy_slots() > 0 ||
                               scheduler.queued_query_rows() > 0 || scheduler.queued_cuts() > 0)) {
    absl::SleepFor(absl::Milliseconds(10));
  }
}

absl::Status Serve(Flags& flags, Models& models) {
  DISTILLERY_RETURN_IF_ERROR(ArmFailpoints());
  DISTILLERY_ASSIGN_OR_RETURN(const auto host, TeacherHost::Create(flags.host));
  DISTILLERY_RETURN_IF_ERROR(models.Declare(host->models()));
  flags.service.load = [&models](const std::string& name) { return models.Load(name); };
  TeacherServiceImpl service(flags.service, host.get());
  InferenceServiceImpl inference(host.get());
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto server,
      RpcServer::Start(flags.server,
                       {{v1::TeacherService::service_full_name(), &service},
                        {inference::GRPCInferenceService::service_full_name(), &inference}}));
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto exposer, MetricsExposer::Start(flags.metrics, flags.server.transport.insecure,
                                                std::make_shared<TeacherMetrics>(
                                                    host.get(), &service.streams(), server.get())));
  if (exposer != nullptr) LogInfo("metrics at http://{}/metrics", exposer->address());
  LogInfo("{}", ComputeDescription(flags.compute_threads));
  for (const std::string& name : host->models().Names()) server->SetServing(name, false);
  DISTILLERY_RETURN_IF_ERROR(models.LoadAll(
      host->models(), [&](const std::string& name) { server->SetServing(name, true); }));
  server->SetServing(true);
  LogInfo("teacher_service {} listens on {}", DISTILLERY_VERSION, server->address());
  StopSignal::Wait();
  LogInfo("draining");
  server->SetServing(false);
  host->Drain();
  AwaitCalls(*host, service.streams(), absl::Seconds(5));
  server->Shutdown(absl::Milliseconds(200));
  host->Close();
  return absl::OkStatus();
}

void AddModelFlags(CommandLine* line, Flags* flags) {
  line->Add("--model", flags->models,
            "TorchScript file of a teacher, FILE or NAME=FILE, and ,KEY=VALUE of device, "
            "precision, batch_rows, max_batch_rows, card; may be repeated")
      .Required();
  line->Add("--ensemble", flags->ensembles,
            "NAME=a:0.7,b:0.3: the weighted mean of models; may be repeated");
  line->Add("--ensemble-mean", flags->ensemble_mean, "of probabilities, or of logits")
      .OneOf({"probabilities", "logits"})
      .ShowDefault();
  line->Add("--device", flags->device,
            "where models are computed: cpu, cuda, cuda:N, or several, cuda:0,cuda:1, each with "
            "a copy of each model")
      .ShowDefault();
  line->Add("--precision", flags->model_defaults.precision,
            "inside of models: float32, bfloat16, or float16 (CUDA alone); default: as the model "
            "file holds it; part of the teacher digest");
  line->Add(
      "--cuda-graphs", flags->cuda_graphs,
      "on CUDA, launch each forward pass as one graph, for models of many small kernels; part "
      "of the teacher digest");
  line->Add("--card", flags->model_defaults.card_path,
            "model card (JSON) for model files that carry none");
  line->Add("--batch-rows", flags->model_defaults.batch_rows,
            "rows of a shard computed together; part of the teacher digest")
      .Between(1, 65536)
      .ShowDefault();
  line->Add("--max-batch-rows", flags->model_defaults.max_batch_rows,
            "most rows of queries computed together (default: 256 on a CPU, 1024 on a GPU)")
      .Between(1, 65536);
  line->Add("--compute-threads", flags->compute_threads,
            "threads of LibTorch and OpenBLAS per batch; part of the teacher digest")
      .Between(1, 1024)
      .ShowDefault();
  line->Add("--numerics", flags->numerics,
            "fastest, or portable: pinned to AVX2 so that unlike machines agree")
      .OneOf({"fastest", "portable"})
      .ShowDefault();
  line->Add("--allow-reload", flags->service.reload_clients,
            "who may call ReloadModel: \"loopback\" in plain text; over TLS every operator, or "
            "those whose certificates' names are given here; may be repeated");
}

void AddComputeFlags(CommandLine* line, Flags* flags) {
  const std::string group = "Scheduling";
  line->Add("--compute-slots", flags->host.compute.slots,
            "batches computed at once (default: one per core, or four per GPU)")
      .Between(1, 1024)
      .Group(group);
  line->Add("--stream-weight", flags->host.compute.queue.stream_weight,
            "share of the device for streams of shards, against --query-weight")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--query-weight", flags->host.compute.queue.query_weight,
            "share of the device for ad-hoc queries")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--max-queue-delay-ms", flags->queue_delay_ms,
            "how long a batch of queries that is not full lets streams go first")
      .NonNegative()
      .ShowDefault()
      .Group(group);
  line->Add("--max-queued-rows", flags->host.compute.queue.max_queued_rows,
            "rows of queries that may wait; more get UNAVAILABLE")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--max-streams-per-client", flags->service.streams.max_streams_per_client,
            "streams that one client may have open")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--max-queries-per-client", flags->service.max_queries_per_client,
            "queries that one client may have in flight")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--stream-idle-seconds", flags->idle_seconds,
            "a stream whose client reads nothing for so long is ended")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--max-unread-mib-per-client", flags->unread_mib,
            "answers that one client may leave unread; more get RESOURCE_EXHAUSTED")
      .Between(1, 1048576)
      .ShowDefault()
      .Group(group);
}

void AddCacheFlags(CommandLine* line, Flags* flags) {
  const std::string group = "Cache";
  line->Add("--cache-dir", flags->host.cache.folder,
            "folder for computed logits; safe to delete at any time (default: none)")
      .Group(group);
  line->Add("--cache-size-gib", flags->cache_gib,
            "its largest size; the shards used longest ago go first")
      .Positive()
      .ShowDefault()
      .Group(group);
  line->Add("--cache-precision", flags->cache_precision,
            "float32, or float16: half the size; part of the teacher digest")
      .OneOf({"float32", "float16"})
      .ShowDefault()
      .Group(group);
  line->Add("--cache-memory-mib", flags->cache_memory_mib,
            "logits computed lately that are kept in memory")
      .Positive()
      .ShowDefault()
      .Group(group);
}

absl::Status Run(Flags& flags, bool warm) {
  Models models(flags);
  DISTILLERY_RETURN_IF_ERROR(models.Parse());
  if (flags.host.compute.slots == 0) {
    flags.host.compute.slots = DefaultComputeSlots(models.models(), AvailableCores());
  }
  flags.service.streams.read_ahead_cuts = flags.host.compute.slots + 1;
  return warm ? Warm(flags, models) : Serve(flags, models);
}

int Main(int argc, char** argv) {
  EnsureComputeEnvironment(EarlyFlag(argc, argv, "numerics", "fastest"), argv);
  StopSignal::Install();
  Flags flags;
  flags.server.address = "127.0.0.1:7001";
  flags.host.compute.slots = 0;
  flags.warm.view.seed = 1;
  CommandLine line("Serves the temperature-softened outputs of TorchScript models over gRPC.",
                   "teacher_service");
  AddModelFlags(&line, &flags);
  line.Add("--listen", flags.server.address, "address to serve, HOST:PORT; port 0: any free")
      .ShowDefault();
  line.Add("--address-file", flags.server.address_file, "write the address here once it is served");
  line.Add("--data-dir", flags.host.data_dir,
           "folder of data sets, such as DIR/mnist; digits is built in");
  AddCacheFlags(&line, &flags);
  AddComputeFlags(&line, &flags);
  AddTransportFlags(&line, &flags.server.transport);
  AddConnectionFlags(&line, &flags.server.max_connections,
                     &flags.server.max_connections_per_address);
  AddAccessFlags(&line, &flags.server.allowed_workers);
  AddMetricsFlags(&line, &flags.metrics);
  line.AddCommonFlags(&flags.log);
  CommandLine warm = line.AddCommand("warm", "fill the cache ahead, then end");
  warm.Add("--dataset", flags.warm_dataset, "NAME/SPLIT@SHARD_SIZE, as in the RunSpec").Required();
  warm.Add("--augmentation", flags.warm_augmentation, "as in the RunSpec").ShowDefault();
  warm.Add("--views", flags.warm.views, "views to compute, from the first")
      .Between(1, 1000000)
      .ShowDefault();
  warm.Add("--seed", flags.warm.view.seed, "the run's seed, which augmentation draws from")
      .ShowDefault();
  warm.Add("--model-name", flags.warm.model_name, "which model (default: the first)");
  warm.Add("--json", flags.json, "print the result as JSON");
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("teacher_service", flags.log);
  flags.host.cache.max_bytes = static_cast<int64_t>(flags.cache_gib * (int64_t{1} << 30));
  flags.host.logits.memory_bytes = flags.cache_memory_mib << 20;
  flags.host.compute.queue.max_queue_delay = absl::Milliseconds(flags.queue_delay_ms);
  flags.service.streams.idle_limit = absl::Seconds(flags.idle_seconds);
  flags.server.calls.idle_limit = flags.service.streams.idle_limit;
  flags.server.calls.AllowUnread(flags.unread_mib << 20);
  return ReportStatus("teacher_service", Run(flags, warm.parsed()));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
