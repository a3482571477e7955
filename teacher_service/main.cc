// teacher_service: serves soft targets of a TorchScript model over gRPC.
#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/model/environment.h"
#include "common/model/numerics.h"
#include "common/rpc/flags.h"
#include "common/rpc/server.h"
#include "teacher_service/teacher_service.h"
#include "teacher_service/torch_teacher.h"

namespace distillery {
namespace {

struct Flags {
  RpcServer::Options server;
  TorchTeacherOptions teacher;
  TeacherServiceImpl::Options service;
  std::string card_path;
  std::string numerics = "fastest";
  std::string log_level = "info";
};

constexpr char kExamples[] =
    "Examples:\n"
    "  teacher_service --model teacher.pt\n"
    "      serve on loopback; the built-in digits data is there\n"
    "  teacher_service --model teacher.pt --data-dir /data --listen 0.0.0.0:7001 \\\n"
    "      --tls-certificate t.pem --tls-key t.key --tls-ca ca.pem\n"
    "      serve MNIST shards to other machines over mutual TLS";

absl::Status Serve(Flags flags) {
  if (!flags.card_path.empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(const std::string json, ReadFile(flags.card_path, 1 << 20));
    DISTILLERY_ASSIGN_OR_RETURN(flags.teacher.card, ParseModelCard(json));
  }
  TeacherServiceImpl service(flags.service);
  DISTILLERY_ASSIGN_OR_RETURN(const auto server, RpcServer::Start(flags.server, {&service}));
  spdlog::info("{}", ComputeDescription(flags.teacher.compute_threads));
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<Teacher> teacher, LoadTorchTeacher(flags.teacher));
  const TeacherInfo info = teacher->info();
  service.SetTeacher(std::move(teacher));
  server->SetServing(true);
  spdlog::info("teacher {}: {} parameters, {} classes, digest {}", info.model_name,
               info.parameter_count, info.card.class_count(), info.digest);
  spdlog::info("teacher_service {} listens on {}", DISTILLERY_VERSION, server->address());
  StopSignal::Wait();
  spdlog::info("draining");
  server->SetServing(false);
  service.Drain();
  server->Shutdown(absl::Seconds(5));
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  EnsureComputeEnvironment(EarlyFlag(argc, argv, "numerics", "fastest"), argv);
  StopSignal::Install();
  Flags flags;
  flags.server.address = "127.0.0.1:7001";
  flags.service.compute_slots = AvailableCores();
  CLI::App app("Serves the temperature-softened outputs of a TorchScript model over gRPC.",
               "teacher_service");
  app.add_option("--model", flags.teacher.model_path, "TorchScript file of the teacher")
      ->required();
  app.add_option("--card", flags.card_path,
                 "model card (JSON) for a model file that carries none");
  app.add_option("--listen", flags.server.address, "address to serve, HOST:PORT; port 0: any free")
      ->capture_default_str();
  app.add_option("--address-file", flags.server.address_file,
                 "write the address here once it is served");
  app.add_option("--data-dir", flags.service.data_dir,
                 "folder of data sets, such as DIR/mnist; digits is built in");
  app.add_option("--batch-rows", flags.teacher.batch_rows,
                 "rows computed together; part of the teacher digest")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--compute-slots", flags.service.compute_slots, "batches computed at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--compute-threads", flags.teacher.compute_threads,
                 "LibTorch threads per batch; part of the teacher digest")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--numerics", flags.numerics,
                 "fastest, or portable: pinned to AVX2 so that unlike machines agree")
      ->check(CLI::IsMember({"fastest", "portable"}))
      ->capture_default_str();
  AddTransportFlags(&app, &flags.server.transport);
  AddCommonFlags(&app, &flags.log_level);
  app.footer(kExamples);
  if (const int code = ParseFlags(&app, argc, argv); code >= 0) return code;
  ConfigureLogging(flags.log_level);
  return ReportStatus("teacher_service", Serve(flags));
}

}  // namespace
}  // namespace distillery

int main(int argc, char** argv) { return distillery::Main(argc, argv); }
