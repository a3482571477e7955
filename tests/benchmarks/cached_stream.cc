// Bytes per second of cached soft targets against bare gRPC streams, in one run, alternating.
// Prints JSON, and a table to standard error. Goal: at T = 1, from 1,000 classes on, 0.85 of the
// best bare stream.
//
// One client reads one stream at a time over loopback from another process, which holds both
// servers. The bare streams repeat one buffer of 64 KiB to 2 MiB and do nothing else; ours come
// from the cache on disk (in the page cache by then). Streams of both are as long as a shard.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/child_process.h"
#include "common/base/command_line.h"
#include "common/base/environment.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/rpc/initialise.h"
#include "nlohmann/json.hpp"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/stream_client.h"
#include "tests/benchmarks/stream_server.h"

namespace distillery {
namespace {

constexpr int64_t kBareMessageBytes[] = {64 << 10, 256 << 10, 1 << 20, 2 << 20};
constexpr int64_t kGoalClasses = 1000;
constexpr double kGoal = 0.85;

struct Flags {
  double seconds = 0.5;
  // Short and many: the machine's own speed drifts.
  int rounds = 11;
  std::vector<int64_t> classes = {10, 1000, 32000};
  int64_t shard_mib = 256;
  // Keeps this kind busy rather than measure.
  std::string profile;
  // Flags of the served side.
  bool serve = false;
  std::string folder;
  std::string address_file;
};

constexpr char kExamples[] =
    "Examples:\n"
    "  cached_stream > cached_stream.json\n"
    "      all numbers of classes; the table goes to the terminal\n"
    "  cached_stream --classes 32000 --shard-mib 64 --seconds 0.3 --rounds 2\n"
    "      a quick look";

std::vector<StreamCase> Cases(const Flags& flags) {
  std::vector<StreamCase> cases;
  for (const int64_t classes : flags.classes) {
    cases.push_back(MakeStreamCase(classes, flags.shard_mib << 20));
  }
  return cases;
}

// One kind of stream, and what was measured of it.
struct Kind {
  std::string name;
  // Reads stream number `stream`; its bytes.
  std::function<absl::StatusOr<int64_t>(int64_t stream)> read;
  // One per round.
  std::vector<double> bytes_per_second;
  double bytes = 0;
  double server_cpu_seconds = 0;
  double client_cpu_seconds = 0;
};

absl::Status MeasureRound(const ServerProcess& server, double seconds, Kind* kind) {
  const double server_cpu = server.cpu_seconds();
  const double client_cpu = OwnCpuSeconds();
  const absl::Time start = absl::Now();
  double taken = 0;
  double bytes = 0;
  for (int64_t stream = 0; taken < seconds; ++stream) {
    DISTILLERY_ASSIGN_OR_RETURN(const int64_t read, kind->read(stream));
    bytes += static_cast<double>(read);
    taken = absl::ToDoubleSeconds(absl::Now() - start);
  }
  kind->bytes_per_second.push_back(bytes / taken);
  kind->bytes += bytes;
  kind->server_cpu_seconds += server.cpu_seconds() - server_cpu;
  kind->client_cpu_seconds += OwnCpuSeconds() - client_cpu;
  return absl::OkStatus();
}

v1::StreamSoftTargetsRequest ShardRequest(const StreamCase& stream, double temperature,
                                          int64_t shard) {
  v1::StreamSoftTargetsRequest request;
  request.set_model_name(stream.name());
  request.mutable_dataset()->set_name(stream.name());
  request.mutable_dataset()->set_split("train");
  request.mutable_dataset()->set_shard_size(static_cast<int32_t>(stream.shard_rows));
  request.set_shard(static_cast<int32_t>(shard % stream.shard_count));
  request.set_temperature(temperature);
  return request;
}

v1::StreamSoftTargetsRequest BareRequest(int64_t message_bytes, int64_t total_bytes, bool walk) {
  v1::StreamSoftTargetsRequest request;
  request.set_shard(static_cast<int32_t>(message_bytes));
  request.set_start_row(total_bytes);
  request.set_include_samples(walk);
  return request;
}

double Ratio(const Kind& ours, const Kind& bare) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.bytes_per_second.size(); ++i) {
    ratios.push_back(ours.bytes_per_second[i] / bare.bytes_per_second[i]);
  }
  return std::round(1000 * Median(ratios)) / 1000;
}

nlohmann::ordered_json Report(const Kind& kind, const Kind& best) {
  const double gigabytes = kind.bytes / 1e9;
  const auto rounded = [](double value) { return std::round(1000 * value) / 1000; };
  nlohmann::ordered_json json;
  json["kind"] = kind.name;
  json["gigabytes_per_second"] = rounded(Median(kind.bytes_per_second) / 1e9);
  json["gigabytes_per_second_rounds"] = nlohmann::json::array();
  for (const double value : kind.bytes_per_second) {
    json["gigabytes_per_second_rounds"].push_back(rounded(value / 1e9));
  }
  json["ratio_to_best_bare"] = Ratio(kind, best);
  json["server_cpu_seconds_per_gigabyte"] = rounded(kind.server_cpu_seconds / gigabytes);
  json["client_cpu_seconds_per_gigabyte"] = rounded(kind.client_cpu_seconds / gigabytes);
  std::fprintf(stderr, "%-28s %7.3f GB/s  ratio %.3f  CPU s/GB: server %.3f, client %.3f\n",
               kind.name.c_str(), Median(kind.bytes_per_second) / 1e9, Ratio(kind, best),
               kind.server_cpu_seconds / gigabytes, kind.client_cpu_seconds / gigabytes);
  return json;
}

absl::StatusOr<nlohmann::ordered_json> Measure(const Flags& flags, const StreamCase& stream,
                                               const ServerProcess& server, StreamClient& ours,
                                               StreamClient& bare) {
  std::vector<Kind> kinds;
  const auto add_bare = [&](int64_t message_bytes, bool walk) {
    Kind kind;
    kind.name = absl::StrCat("bare ", message_bytes >> 10, " KiB", walk ? ", walking" : "");
    kind.read = [&bare, request = BareRequest(message_bytes, stream.shard_bytes(), walk)](int64_t) {
      return bare.ReadBytes(request);
    };
    kinds.push_back(std::move(kind));
  };
  for (const int64_t message_bytes : kBareMessageBytes) add_bare(message_bytes, /*walk=*/false);
  const auto bare_end = static_cast<std::ptrdiff_t>(kinds.size());
  // Not what the goal compares with: tells what it costs to read as much memory as is sent.
  add_bare(1 << 20, /*walk=*/true);
  const size_t main = kinds.size();
  for (const double temperature : {1.0, 4.0}) {
    Kind kind;
    kind.name = absl::StrCat("ours, T = ", temperature);
    kind.read = [&ours, &stream, temperature](int64_t number) -> absl::StatusOr<int64_t> {
      DISTILLERY_ASSIGN_OR_RETURN(const int64_t bytes,
                                  ours.ReadBytes(ShardRequest(stream, temperature, number)));
      if (bytes > stream.shard_bytes()) return bytes;
      return absl::DataLossError(
          absl::StrCat("a stream of ", bytes, " bytes, its shard has ", stream.shard_bytes()));
    };
    kinds.push_back(std::move(kind));
  }
  Kind parsed;
  parsed.name = "ours, T = 1, generated class";
  parsed.read = [&ours, &stream](int64_t number) {
    return ours.ReadParsed(ShardRequest(stream, 1, number));
  };
  kinds.push_back(std::move(parsed));

  // Fills the cache, and all of it is read once before the first round.
  for (int64_t i = 0; i < 2 * stream.shard_count; ++i) {
    DISTILLERY_RETURN_IF_ERROR(kinds[main].read(i).status());
  }
  for (int64_t i = 0; !flags.profile.empty(); ++i) {
    if (StopSignal::Requested()) return absl::CancelledError("stopped");
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& candidate) {
      return candidate.name == flags.profile;
    });
    if (kind == kinds.end()) {
      return absl::InvalidArgumentError(absl::StrCat("--profile: no kind ", flags.profile));
    }
    DISTILLERY_RETURN_IF_ERROR(kind->read(i).status());
  }
  for (Kind& kind : kinds) DISTILLERY_RETURN_IF_ERROR(kind.read(0).status());
  for (int round = 0; round < flags.rounds; ++round) {
    for (Kind& kind : kinds) {
      if (StopSignal::Requested()) return absl::CancelledError("stopped");
      DISTILLERY_RETURN_IF_ERROR(MeasureRound(server, flags.seconds, &kind));
    }
  }
  const Kind& best =
      *std::max_element(kinds.begin(), kinds.begin() + bare_end, [](const Kind& a, const Kind& b) {
        return Median(a.bytes_per_second) < Median(b.bytes_per_second);
      });
  nlohmann::ordered_json json;
  json["classes"] = stream.classes;
  json["stream_bytes"] = stream.shard_bytes();
  json["best_bare"] = best.name;
  json["ratio"] = Ratio(kinds[main], best);
  if (stream.classes >= kGoalClasses) json["goal"] = kGoal;
  std::fprintf(stderr, "%lld classes, streams of %.1f MiB\n",
               static_cast<long long>(stream.classes),
               static_cast<double>(stream.shard_bytes()) / (1 << 20));
  for (const Kind& kind : kinds) json["streams"].push_back(Report(kind, best));
  return json;
}

absl::Status Run(const Flags& flags) {
  DISTILLERY_ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make());
  std::vector<std::string> arguments = {
      ProgramFolder() + "/cached_stream", "--serve", "--folder", folder.path(), "--shard-mib",
      std::to_string(flags.shard_mib)};
  for (const int64_t classes : flags.classes) {
    arguments.insert(arguments.end(), {"--classes", std::to_string(classes)});
  }
  DISTILLERY_ASSIGN_OR_RETURN(const ServerProcess server,
                              ServerProcess::Start(arguments, folder.path()));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bare_address,
                              ReadFile(folder.path() + "/bare.address", 4096));
  StreamClient ours(server.address());
  StreamClient bare(bare_address);
  nlohmann::ordered_json json;
  json["cores"] = AvailableCores();
  json["seconds"] = flags.seconds;
  json["rounds"] = flags.rounds;
  for (const StreamCase& stream : Cases(flags)) {
    DISTILLERY_ASSIGN_OR_RETURN(nlohmann::ordered_json measured,
                                Measure(flags, stream, server, ours, bare));
    json["cases"].push_back(std::move(measured));
  }
  std::printf("%s\n", json.dump(2).c_str());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  StopSignal::Install();
  Flags flags;
  CommandLine line("Compares streams of cached soft targets with bare gRPC streams.",
                   "cached_stream");
  line.Add("--seconds", flags.seconds, "per measurement").Positive().ShowDefault();
  line.Add("--rounds", flags.rounds, "how often each kind of stream is measured, in turn")
      .Between(1, 1000)
      .ShowDefault();
  line.Add("--classes", flags.classes, "numbers of classes; may be repeated")
      .Between(2, 65536)
      .ShowDefault();
  line.Add("--shard-mib", flags.shard_mib, "largest shard, and so the length of a stream")
      .Between(1, 1024)
      .ShowDefault();
  line.Add("--profile", flags.profile,
           "a kind of stream, as in the table: only that, until Ctrl-C");
  line.Add("--serve", flags.serve).Group("");
  line.Add("--folder", flags.folder).Group("");
  line.Add("--address-file", flags.address_file).Group("");
  line.Footer(kExamples);
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  ConfigureLogging("cached_stream", {"warning"});
  return ReportStatus(
      "cached_stream",
      flags.serve ? ServeStreams({flags.folder, flags.address_file, Cases(flags)}) : Run(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) {
  distillery::InitialiseRpc();
  return distillery::Main(argc, argv);
}
