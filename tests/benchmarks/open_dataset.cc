// How long a large data set takes to open, the first time and the next, and the memory that it
// takes: images of 8 x 8 in NumPy's format, 10 million of them, each opening by a process of its
// own. Prints JSON. Goal: the second opening takes less than 2 s. With --dataset it opens one that
// is there, --folder being its --data-dir, after removing what earlier openings kept beside it.
//
// The files were just written, so they are read from the page cache where they fit into it.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/child_process.h"
#include "common/base/command_line.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/data/catalog.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

constexpr int64_t kSide = 8;
constexpr int64_t kClasses = 10;
constexpr int64_t kTestSamples = 1000;
constexpr int64_t kShardSize = 1000;
constexpr double kGoalSeconds = 2;

struct Flags {
  int64_t samples = 10'000'000;
  std::string folder;
  std::string dataset;
  // Set for the processes that open: where they write what they found.
  std::string report;
};

std::string NpyHeader(const std::string& shape) {
  const std::string header =
      absl::StrCat("{'descr': '|u1', 'fortran_order': False, 'shape': (", shape, "), }\n");
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes.push_back(static_cast<char>(header.size() % 256));
  bytes.push_back(static_cast<char>(header.size() / 256));
  return bytes + header;
}

absl::Status WriteImages(const std::string& path, int64_t count) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto file, OutputFile::Create(path));
  DISTILLERY_RETURN_IF_ERROR(
      file->Append(NpyHeader(absl::StrCat(count, ", ", kSide, ", ", kSide))));
  uint64_t state = 1;
  std::string image(kSide * kSide, '\0');
  std::string block;
  for (int64_t i = 0; i < count; ++i) {
    for (char& pixel : image) {
      state = state * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX
      pixel = static_cast<char>(state >> 56);
    }
    block += image;
    if (block.size() < (1 << 20) && i + 1 < count) continue;
    DISTILLERY_RETURN_IF_ERROR(file->Append(block));
    block.clear();
  }
  return file->Keep();
}

absl::Status WriteFiles(const std::string& folder, int64_t samples) {
  DISTILLERY_RETURN_IF_ERROR(MakeFolders(folder));
  for (const auto& [split, count] :
       {std::pair("train", samples), std::pair("test", kTestSamples)}) {
    DISTILLERY_RETURN_IF_ERROR(WriteImages(absl::StrCat(folder, "/", split, "_images.npy"), count));
    std::string labels = NpyHeader(absl::StrCat(count, ","));
    for (int64_t i = 0; i < count; ++i) labels.push_back(static_cast<char>(i % kClasses));
    DISTILLERY_RETURN_IF_ERROR(
        WriteFileDurably(absl::StrCat(folder, "/", split, "_labels.npy"), labels));
  }
  return absl::OkStatus();
}

// The line NAME of /proc/self/status, MiB.
double MemoryMib(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  double kilobytes = 0;
  while (status >> word && word != name + ":") {
  }
  status >> kilobytes;
  return std::round(kilobytes / 102.4) / 10;
}

double SecondsSince(absl::Time start) {
  return std::round(absl::ToDoubleSeconds(absl::Now() - start) * 1000) / 1000;
}

absl::Status Open(const Flags& flags) {
  nlohmann::ordered_json json;
  const double before = MemoryMib("VmRSS");
  absl::Time start = absl::Now();
  DatasetCatalog catalog(flags.folder);
  DISTILLERY_ASSIGN_OR_RETURN(const auto dataset,
                              catalog.Open({flags.dataset, "train", kShardSize}));
  json["open_seconds"] = SecondsSince(start);
  json["resident_mib_before"] = before;
  json["resident_mib"] = MemoryMib("VmRSS");
  json["most_resident_mib"] = MemoryMib("VmHWM");
  std::vector<int64_t> rows(kShardSize);
  std::vector<uint8_t> pixels(static_cast<size_t>(kShardSize * dataset->record_bytes()));
  constexpr int64_t kShards = 100;
  start = absl::Now();
  for (int64_t shard = 0; shard < std::min(kShards, dataset->shard_count()); ++shard) {
    const RowRange range = *dataset->Shard(shard);
    rows.resize(static_cast<size_t>(range.count));
    std::iota(rows.begin(), rows.end(), range.first);
    DISTILLERY_RETURN_IF_ERROR(dataset->ReadRecords(rows, pixels.data()));
  }
  json["seconds_of_100_shards"] = SecondsSince(start);
  json["digest"] = dataset->digest();
  return WriteFileDurably(flags.report, json.dump());
}

absl::StatusOr<nlohmann::ordered_json> OpenInProcess(const Flags& flags) {
  const std::string report = flags.folder + "/report";
  ChildProcess::Options options;
  options.arguments = {"/proc/self/exe", "--folder", flags.folder, "--dataset",
                       flags.dataset,    "--report", report};
  DISTILLERY_ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(options));
  child.WaitOrKill(absl::Minutes(30));
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadFile(report, 1 << 20));
  return nlohmann::ordered_json::parse(text);
}

absl::Status Run(Flags flags) {
  nlohmann::ordered_json json;
  const bool of_goal = flags.dataset.empty();
  if (of_goal) {
    flags.dataset = "large";
    DISTILLERY_RETURN_IF_ERROR(WriteFiles(flags.folder + "/large", flags.samples));
    json["samples"] = flags.samples;
    json["pixel_mb"] = flags.samples * kSide * kSide / 1'000'000;
  } else {
    std::error_code ignored;
    std::filesystem::remove_all(absl::StrCat(flags.folder, "/", flags.dataset, "/.distillery"),
                                ignored);
  }
  for (const char* const opening : {"first", "second"}) {
    DISTILLERY_ASSIGN_OR_RETURN(json[opening], OpenInProcess(flags));
  }
  if (of_goal) {
    json["goal_seconds"] = kGoalSeconds;
    json["goal_met"] = json["second"]["open_seconds"] < kGoalSeconds;
  }
  std::printf("%s\n", json.dump(2).c_str());
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Flags flags;
  CommandLine line("Opens a large data set twice", "open_dataset");
  line.Add("--samples", flags.samples, "training samples of 64 bytes");
  line.Add("--folder", flags.folder, "where the files are made (default: a temporary one)");
  line.Add("--dataset", flags.dataset, "one that is there, such as FOLDER/cifar10");
  line.Add("--report", flags.report).Group("");
  if (const int code = line.Parse(argc, argv); code >= 0) return code;
  absl::Status status;
  if (!flags.report.empty()) {
    status = Open(flags);
  } else if (!flags.folder.empty()) {
    status = Run(flags);
  } else {
    std::string folder = (std::filesystem::temp_directory_path() / "distillery-XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) {
      status = ErrnoStatus(errno, absl::StrCat("cannot make ", folder));
    } else {
      flags.folder = folder;
      status = Run(flags);
      std::error_code ignored;
      std::filesystem::remove_all(folder, ignored);
    }
  }
  if (status.ok()) return 0;
  LogError("{}", std::string(status.message()));
  return 1;
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) { return distillery::Main(argc, argv); }
