// Rows per CPU second of teacher_service against a bare LibTorch forward of the same TorchScript
// file, in one run, alternating. Prints JSON, and a table to standard error. Goal: 0.95 of the bare
// forward with 4 clients and more.
//
// The service is a process of its own with its defaults and no cache; streams ask for augmented
// views that nobody asked for before. The bare forward gets its best batch size of 64 to 1024, one
// LibTorch thread, and as many threads as the service has compute slots. The CPU time of the
// service and of its clients, which live in this process, are told apart.
#include <CLI/CLI.hpp>
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
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/model/environment.h"
#include "common/model/numerics.h"
#include "common/rpc/flags.h"
#include "nlohmann/json.hpp"
#include "tests/benchmarks/bare_forward.h"
#include "tests/benchmarks/sample_files.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/teacher_load.h"

namespace distillery {
namespace {

constexpr int64_t kImages = 8192;
constexpr int64_t kShardRows = 4096;
constexpr int64_t kBatchRows[] = {64, 128, 256, 512, 1024};
constexpr int kGoalClients = 4;
constexpr double kGoal = 0.95;

struct Flags {
  double seconds = 1;
  // Short and many: the machine's own speed drifts.
  int rounds = 9;
  std::vector<std::string> models = {"mlp:784-1200-1200-10", "lenet"};
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
    "  teacher_throughput --server-flags=--batch-rows=512 --server-flags=--compute-slots=1\n"
    "      the service with other flags";

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

// Of `values` to those of the bare forward in the same round.
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

// The batch size at which the bare forward gets most rows out of a CPU second.
int64_t BestBatch(const Flags& flags, int threads, BareForward& bare,
                  nlohmann::ordered_json* json) {
  int64_t best = 0;
  double most = 0;
  const double seconds = std::max(0.3, flags.seconds / 3);
  for (const int64_t batch : kBatchRows) {
    bare.Run(batch, threads, seconds / 4);
    const double start = OwnCpuSeconds();
    const auto rows = static_cast<double>(bare.Run(batch, threads, seconds));
    const double rate = rows / (OwnCpuSeconds() - start);
    (*json)[std::to_string(batch)] = std::round(rate);
    if (rate > most) best = batch;
    most = std::max(most, rate);
  }
  return best;
}

absl::StatusOr<nlohmann::ordered_json> Measure(const Flags& flags, const std::string& architecture,
                                               const std::string& folder) {
  const std::string model = folder + "/model.pt";
  DISTILLERY_RETURN_IF_ERROR(WriteModelFile(model, architecture));
  DISTILLERY_ASSIGN_OR_RETURN(const auto forward, BareForward::Load(model));
  const int threads = AvailableCores();
  std::fprintf(stderr, "%s\n", architecture.c_str());
  nlohmann::ordered_json json;
  json["architecture"] = architecture;
  const int64_t batch =
      BestBatch(flags, threads, *forward, &json["bare_rows_per_cpu_second_by_batch"]);
  json["best_batch"] = batch;

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
                                        std::to_string(threads)};
  arguments.insert(arguments.end(), flags.server_flags.begin(), flags.server_flags.end());
  DISTILLERY_ASSIGN_OR_RETURN(const ServerProcess server, ServerProcess::Start(arguments, folder));
  TeacherLoad teacher({server.address(), "synthetic", kShardRows, kImages / kShardRows});

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
  add("stream", [&](double seconds) { return teacher.Stream(seconds); });
  for (const bool bytes : {false, true}) {
    for (const int clients : flags.clients) {
      add(absl::StrCat("queries, ", clients, clients == 1 ? " client" : " clients",
                       bytes ? ", uint8" : ""),
          [&, clients, bytes](double seconds) {
            return teacher.Query(clients, flags.query_rows, bytes, seconds);
          });
      loads.back().has_goal = clients >= kGoalClients;
    }
  }
  DISTILLERY_RETURN_IF_ERROR(teacher.AwaitModel());
  // Warms both sides.
  for (Load& load : loads) DISTILLERY_RETURN_IF_ERROR(load.run(0.3).status());
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
  DISTILLERY_RETURN_IF_ERROR(WriteIdxFolder(folder.path() + "/data/synthetic", kImages));
  nlohmann::ordered_json json;
  json["compute"] = ComputeDescription(1);
  json["compute_slots"] = AvailableCores();
  json["query_rows"] = flags.query_rows;
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
  CLI::App app("Compares teacher_service with a bare LibTorch forward.", "teacher_throughput");
  app.add_option("--seconds", flags.seconds, "per measurement")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--rounds", flags.rounds, "how often each load is measured, in turn")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--models", flags.models, "built-in architectures for 28x28; may be repeated")
      ->capture_default_str();
  app.add_option("--clients", flags.clients, "numbers of clients that query at once")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--query-rows", flags.query_rows, "rows of one query; 1000 take 3 MB")
      ->check(CLI::Range(1, 1300))
      ->capture_default_str();
  app.add_option("--server-flags", flags.server_flags, "more flags for teacher_service");
  app.footer(kExamples);
  if (const int code = ParseFlags(&app, argc, argv); code >= 0) return code;
  return ReportStatus("teacher_throughput", Run(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) { return distillery::Main(argc, argv); }
