// Rows per CPU second of teacher_service, on a GPU rows per second, against a bare LibTorch forward
// of the same TorchScript file, in one run, alternating. Prints JSON, and a table to standard
// error. Goal: 0.95 of the bare forward with 4 clients and more.
//
// The service is a process of its own with its defaults and no cache; streams ask for augmented
// views that nobody asked for before. The bare forward gets its best batch size of 64 to 1024, one
// LibTorch thread, and as many threads as the service has compute slots. The CPU time of the
// service and of its clients, which live in this process, are told apart.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/child_process.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/nn/numerics.h"
#include "common/rpc/initialise.h"
#include "nlohmann/json.hpp"
#include "teacher_service/model_flags.h"
#include "tests/benchmarks/bare_forward.h"
#include "tests/benchmarks/sample_files.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/teacher_load.h"

namespace distillery {
namespace {

constexpr int64_t kBatchRows[] = {8, 16, 32, 64, 128, 256, 512, 1024};
constexpr int64_t kMostMessageBytes = 4000000;
constexpr int kGoalClients = 4;
constexpr double kGoal = 0.95;

struct Flags {
  double seconds = 1;
  // Short and many: the machine's own speed drifts.
  int rounds = 9;
  std::vector<std::string> models = {"mlp:784-1200-1200-10", "lenet"};
  std::string device = "cpu";
  std::string precision = "float32";
  int64_t classes = 10;
  int64_t top_k = 0;
  int64_t image_side = 224;
  int64_t images = 0;
  bool quick = false;
  std::vector<int> clients = {1, 4, 16};
  int64_t query_rows = 256;
  std::vector<std::string> server_flags;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  teacher_throughput > teacher_throughput.json\n"
    "      both models; the table goes to the terminal\n"
    "  teacher_throughput --models lenet --clients 4 --seconds 1 --rounds 2\n"
    "      a quick look\n"
    "  teacher_throughput --device cuda --precision bfloat16 --models resnet50 --classes 1000 \\\n"
    "      --top-k 16\n"
    "      on a GPU, 224 x 224 images in 1000 classes, the 16 largest probabilities\n"
    "  teacher_throughput --server-flags=--batch-rows=512 --server-flags=--compute-slots=1\n"
    "      the service with other flags";

// What is measured of a model, and with which data.
struct Case {
  BenchmarkModel model;
  int64_t images = 0;
  int64_t shard_rows = 0;
  int64_t query_rows = 0;
  // Threads of the bare forward, and compute slots of the service.
  int slots = 0;
};

Case CaseOf(const Flags& flags, const std::string& architecture) {
  Case made;
  made.model.architecture = architecture;
  made.model.classes = flags.classes;
  const bool large = architecture == "resnet50";
  if (large) made.model.shape = {3, flags.image_side, flags.image_side};
  made.images = flags.images > 0 ? flags.images : large ? 1024 : 8192;
  made.shard_rows = std::min<int64_t>(made.images / 2, large ? 256 : made.images);
  // A query with its pixels in float32 is one message.
  made.query_rows =
      std::clamp<int64_t>(kMostMessageBytes / (4 * made.model.shape.size()), 1, flags.query_rows);
  ModelFlag model;
  model.devices = {flags.device};
  made.slots = DefaultComputeSlots({model}, AvailableCores());
  return made;
}

// One kind of load, and what was measured of it; one figure per round.
struct Load {
  std::string name;
  // Rows done in about `seconds`.
  std::function<absl::StatusOr<int64_t>(double seconds)> run;
  // Whose CPU time counts.
  bool in_server = true;
  bool has_goal = false;
  std::vector<double> rows_per_second;
  std::vector<double> rows_per_cpu_second;
  double rows = 0;
  double server_cpu_seconds = 0;
  double client_cpu_seconds = 0;
};

double Rounded(double value, double digits) {
  const double scale = std::pow(10, digits);
  return std::round(value * scale) / scale;
}

absl::Status MeasureRound(const ServerProcess& server, double seconds, Load* load) {
  const double server_start = server.cpu_seconds();
  const double own_start = OwnCpuSeconds();
  const absl::Time start = absl::Now();
  DISTILLERY_ASSIGN_OR_RETURN(const int64_t rows, load->run(seconds));
  const double taken = absl::ToDoubleSeconds(absl::Now() - start);
  const double server_cpu = server.cpu_seconds() - server_start;
  const double own_cpu = OwnCpuSeconds() - own_start;
  const auto count = static_cast<double>(rows);
  load->rows += count;
  load->server_cpu_seconds += server_cpu;
  load->client_cpu_seconds += own_cpu;
  load->rows_per_second.push_back(count / taken);
  load->rows_per_cpu_second.push_back(count / (load->in_server ? server_cpu : own_cpu));
  return absl::OkStatus();
}

// The ratio of `values` to those of the bare forward in the same round.
double Ratio(const std::vector<double>& values, const std::vector<double>& bare) {
  std::vector<double> ratios;
  for (size_t i = 0; i < values.size(); ++i) ratios.push_back(values[i] / bare[i]);
  return Rounded(Median(ratios), 3);
}

nlohmann::ordered_json Report(const Load& load, const Load& bare) {
  nlohmann::ordered_json json;
  json["load"] = load.name;
  json["rows_per_second"] = std::round(Median(load.rows_per_second));
  json["rows_per_cpu_second"] = std::round(Median(load.rows_per_cpu_second));
  json["rows_per_cpu_second_rounds"] = nlohmann::json::array();
  for (const double value : load.rows_per_cpu_second) {
    json["rows_per_cpu_second_rounds"].push_back(std::round(value));
  }
  const double ratio = Ratio(load.rows_per_cpu_second, bare.rows_per_cpu_second);
  const double wall_ratio = Ratio(load.rows_per_second, bare.rows_per_second);
  if (load.in_server) {
    json["ratio"] = ratio;
    if (load.has_goal) json["goal"] = kGoal;
    json["wall_ratio"] = wall_ratio;
    json["server_cpu_seconds"] = Rounded(load.server_cpu_seconds, 3);
    json["client_cpu_seconds"] = Rounded(load.client_cpu_seconds, 3);
    json["client_cpu_microseconds_per_row"] = Rounded(1e6 * load.client_cpu_seconds / load.rows, 2);
  }
  std::fprintf(stderr, "  %-26s %9.0f rows/s  %9.0f rows/CPU s  ratio %.3f (wall %.3f)\n",
               load.name.c_str(), Median(load.rows_per_second), Median(load.rows_per_cpu_second),
               ratio, wall_ratio);
  return json;
}

absl::StatusOr<nlohmann::ordered_json> MeasureLatency(const Flags& flags, TeacherLoad& load) {
  nlohmann::ordered_json json;
  for (const bool beside : {false, true}) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<double> latencies,
                                load.Latencies(beside, flags.seconds));
    const double p50 = 1e3 * Percentile(latencies, 0.5);
    const double p99 = 1e3 * Percentile(latencies, 0.99);
    const char* const name = beside ? "beside_a_stream" : "alone";
    json[name]["count"] = latencies.size();
    json[name]["p50_milliseconds"] = Rounded(p50, 3);
    json[name]["p99_milliseconds"] = Rounded(p99, 3);
    std::fprintf(stderr, "  one row, %-13s p50 %.2f ms, p99 %.2f ms\n",
                 beside ? "with a stream" : "alone", p50, p99);
  }
  return json;
}

// The batch size at which the bare forward gets most rows out of a CPU second, on a GPU out of a
// second.
int64_t BestBatch(const Flags& flags, const Case& measured, BareForward& bare,
                  nlohmann::ordered_json* json) {
  const bool on_cpu = flags.device == "cpu";
  const int threads = measured.slots;
  int64_t best = 0;
  double most = 0;
  const double seconds = flags.quick ? flags.seconds : std::max(0.3, flags.seconds / 3);
  for (const int64_t batch : kBatchRows) {
    if (measured.images % batch != 0) continue;
    bare.Run(batch, threads, seconds / 4);
    const double cpu_start = OwnCpuSeconds();
    const absl::Time start = absl::Now();
    const auto rows = static_cast<double>(bare.Run(batch, threads, seconds));
    const double rate =
        rows / (on_cpu ? OwnCpuSeconds() - cpu_start : absl::ToDoubleSeconds(absl::Now() - start));
    (*json)[std::to_string(batch)] = std::round(rate);
    if (rate > most) best = batch;
    most = std::max(most, rate);
  }
  return best;
}

// Errors of logits against those of float64 on the CPU, by precision.
absl::StatusOr<nlohmann::ordered_json> MeasureErrors(const Flags& flags, const std::string& model) {
  nlohmann::ordered_json json;
  constexpr int64_t kRows = 8;
  std::vector<std::string> precisions = {"float32", "bfloat16"};
  if (flags.device != "cpu") precisions.emplace_back("float16");
  for (const std::string& precision : precisions) {
    DISTILLERY_ASSIGN_OR_RETURN(const double error,
                                RelativeError(model, flags.device, precision, kRows));
    json[precision] = error;
    std::fprintf(stderr, "  relative error of %-9s %.2e\n", precision.c_str(), error);
  }
  return json;
}

std::vector<std::string> ServerArguments(const Flags& flags, const std::string& model,
                                         const std::string& folder, int threads) {
  std::vector<std::string> arguments = {ProgramFolder() + "/teacher_service",
                                        "--model",
                                        model,
                                        "--data-dir",
                                        folder + "/data",
                                        "--listen",
                                        "127.0.0.1:0",
                                        "--cache-memory-mib",
                                        "1",
                                        "--log-level",
                                        "warning",
                                        "--compute-slots",
                                        std::to_string(threads),
                                        "--device",
                                        flags.device,
                                        "--precision",
                                        flags.precision};
  arguments.insert(arguments.end(), flags.server_flags.begin(), flags.server_flags.end());
  return arguments;
}

absl::StatusOr<nlohmann::ordered_json> Measure(const Flags& flags, const std::string& architecture,
                                               const std::string& folder) {
  const Case measured = CaseOf(flags, architecture);
  const std::string dataset = architecture == "resnet50" ? "large" : "small";
  const std::string data = absl::StrCat(folder, "/data/", dataset);
  DISTILLERY_RETURN_IF_ERROR(
      WriteNpyFolder(data, measured.images, measured.model.classes, measured.model.shape));
  const std::string model = folder + "/model.pt";
  DISTILLERY_RETURN_IF_ERROR(WriteModelFile(model, measured.model));
  BareForwardOptions options;
  options.device = flags.device;
  options.precision = flags.precision;
  options.input_rows = measured.images;
  DISTILLERY_ASSIGN_OR_RETURN(const auto forward, BareForward::Load(model, options));
  const int threads = measured.slots;
  std::fprintf(stderr, "%s, %s, %s\n", architecture.c_str(), flags.device.c_str(),
               flags.precision.c_str());
  nlohmann::ordered_json json;
  json["architecture"] = architecture;
  json["classes"] = measured.model.classes;
  json["query_rows"] = measured.query_rows;
  DISTILLERY_ASSIGN_OR_RETURN(json["relative_error"], MeasureErrors(flags, model));
  const int64_t batch = BestBatch(flags, measured, *forward,
                                  &json[flags.device == "cpu" ? "bare_rows_per_cpu_second_by_batch"
                                                              : "bare_rows_per_second_by_batch"]);
  json["best_batch"] = batch;

  DISTILLERY_ASSIGN_OR_RETURN(
      const ServerProcess server,
      ServerProcess::Start(ServerArguments(flags, model, folder, threads), folder));
  TeacherLoad::Options load_options;
  load_options.address = server.address();
  load_options.shape = measured.model.shape;
  load_options.dataset = dataset;
  load_options.shard_rows = measured.shard_rows;
  load_options.shard_count = measured.images / measured.shard_rows;
  load_options.top_k = flags.top_k;
  TeacherLoad teacher(load_options);

  std::vector<Load> loads;
  const auto add = [&](std::string name, std::function<absl::StatusOr<int64_t>(double)> run) {
    loads.emplace_back();
    loads.back().name = std::move(name);
    loads.back().run = std::move(run);
  };
  add("bare forward", [&](double seconds) -> absl::StatusOr<int64_t> {
    return forward->Run(batch, threads, seconds);
  });
  loads.front().in_server = false;
  add("1 stream", [&](double seconds) { return teacher.Stream(1, seconds); });
  add(absl::StrCat(kGoalClients, " streams"),
      [&](double seconds) { return teacher.Stream(kGoalClients, seconds); });
  loads.back().has_goal = true;
  for (const bool bytes : {false, true}) {
    for (const int clients : flags.clients) {
      add(absl::StrCat("queries, ", clients, clients == 1 ? " client" : " clients",
                       bytes ? ", uint8" : ""),
          [&, clients, bytes](double seconds) {
            return teacher.Query(clients, measured.query_rows, bytes, seconds);
          });
      loads.back().has_goal = clients >= kGoalClients;
    }
  }
  DISTILLERY_RETURN_IF_ERROR(teacher.AwaitModel());
  // Warms both sides.
  for (Load& load : loads)
    DISTILLERY_RETURN_IF_ERROR(load.run(std::min(0.3, flags.seconds)).status());
  for (int round = 0; round < flags.rounds; ++round) {
    for (Load& load : loads) {
      if (StopSignal::Requested()) return absl::CancelledError("stopped");
      DISTILLERY_RETURN_IF_ERROR(MeasureRound(server, flags.seconds, &load));
    }
  }
  for (const Load& load : loads) json["loads"].push_back(Report(load, loads.front()));
  DISTILLERY_ASSIGN_OR_RETURN(json["latency_of_one_row"], MeasureLatency(flags, teacher));
  return json;
}

absl::Status Run(const Flags& flags) {
  DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
  nlohmann::ordered_json json;
  json["compute"] = ComputeDescription(1);
  json["device"] = flags.device;
  json["precision"] = flags.precision;
  json["top_k"] = flags.top_k;
  json["seconds"] = flags.seconds;
  json["rounds"] = flags.rounds;
  for (const std::string& model : flags.models) {
    DISTILLERY_ASSIGN_OR_RETURN(nlohmann::ordered_json measured,
                                Measure(flags, model, folder.path()));
    json["models"].push_back(std::move(measured));
  }
  std::printf("%s\n", json.dump(2).c_str());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  EnsureComputeEnvironment("fastest", argv);
  StopSignal::Install();
  Flags flags;
  CommandLine line("Compares teacher_service with a bare LibTorch forward.", "teacher_throughput");
  line.Add("--seconds", flags.seconds, "per measurement").Positive().ShowDefault();
  line.Add("--rounds", flags.rounds, "how often each load is measured, in turn")
      .Between(1, 1000)
      .ShowDefault();
  line.Add("--models", flags.models,
           "built-in architectures for 28x28, or resnet50 for --image-side; may be repeated")
      .ShowDefault();
  line.Add("--device", flags.device, "of both: cpu, cuda or cuda:N").ShowDefault();
  line.Add("--precision", flags.precision, "of both: float32, bfloat16 or float16")
      .OneOf({"float32", "bfloat16", "float16"})
      .ShowDefault();
  line.Add("--classes", flags.classes, "of the model; an mlp: names them itself")
      .Between(2, 100000)
      .ShowDefault();
  line.Add("--top-k", flags.top_k, "ask for the top-k encoding (default: float32 logits)")
      .Between(1, 1000);
  line.Add("--image-side", flags.image_side, "of resnet50").Between(32, 1024).ShowDefault();
  line.Add("--images", flags.images, "in the data set (default: 8192, of resnet50 1024)")
      .Between(16, 1 << 20);
  line.Add("--quick", flags.quick, "see that it works: seconds rather than minutes");
  line.Add("--clients", flags.clients, "numbers of clients that query at once")
      .Between(1, 1000)
      .ShowDefault();
  line.Add("--query-rows", flags.query_rows, "rows of one query; 1000 take 3 MB")
      .Between(1, 1300)
      .ShowDefault();
  line.Add("--server-flags", flags.server_flags, "more flags for teacher_service");
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  if (flags.quick) {
    flags.seconds = std::min(flags.seconds, 0.05);
    flags.rounds = 1;
    flags.clients = {1, 4};
    // bfloat16 is slow on a CPU that has no instructions for it.
    flags.query_rows = 8;
    flags.image_side = 32;
    flags.images = 16;
  }
  return ReportStatus("teacher_throughput", Run(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
