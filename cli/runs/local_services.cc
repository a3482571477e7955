#include "cli/runs/local_services.h"

#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/server.h"
#include "common/run/run_data.h"
#include "coordinator/coordinator.h"
#include "coordinator/rpc/coordinator_service.h"
#include "student_worker/rpc/worker.h"
#include "student_worker/training/torch_tasks.h"
#include "teacher_service/rpc/teacher_service.h"
#include "teacher_service/teachers/torch_teacher.h"

namespace distillery {
namespace {

class InProcess : public LocalServices {
 public:
  ~InProcess() override {
    if (worker_ != nullptr) worker_->Stop();
    if (worker_thread_.joinable()) worker_thread_.join();
    if (host_ != nullptr) host_->Drain();
    if (coordinator_ != nullptr) coordinator_->Close();
    for (RpcServer* const server : {teacher_server_.get(), coordinator_server_.get()}) {
      if (server != nullptr) server->Shutdown(absl::Seconds(2));
    }
    if (host_ != nullptr) host_->Close();
  }

  absl::Status Start(const Options& options) {
    Coordinator::Options coordinator;
    coordinator.state_dir = options.state_dir;
    // The one worker lives and dies with the coordinator; short leases make lively progress.
    coordinator.lease_duration = absl::Seconds(6);
    DISTILLERY_ASSIGN_OR_RETURN(coordinator_, Coordinator::Open(coordinator));
    coordinator_service_ = std::make_unique<CoordinatorServiceImpl>(coordinator_.get());
    DISTILLERY_ASSIGN_OR_RETURN(
        coordinator_server_,
        StartServer({v1::CoordinatorService::service_full_name(), coordinator_service_.get()}));
    coordinator_->Start();
    std::unique_ptr<TeacherChannels> teachers;
    std::optional<ModelCard> teacher_card;
    if (!options.teacher_model.empty()) {
      TorchTeacherOptions teacher;
      teacher.name = "teacher";
      teacher.model_path = options.teacher_model;
      teacher.compute_threads = options.compute_threads;
      teacher.device = options.device;
      DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<Teacher> loaded, LoadTorchTeacher(teacher));
      teacher_digest_ = loaded->info().digest;
      teacher_card = loaded->info().card;
      TeacherHost::Options host;
      host.data_dir = options.data_dir;
      host.cache.folder = options.cache_dir;
      host.cache.max_bytes = int64_t{10} << 30;
      DISTILLERY_ASSIGN_OR_RETURN(host_, TeacherHost::Create(host));
      DISTILLERY_RETURN_IF_ERROR(host_->models().Declare(teacher.name));
      DISTILLERY_RETURN_IF_ERROR(host_->models().Set(teacher.name, std::move(loaded)));
      teacher_ = std::make_unique<TeacherServiceImpl>(TeacherServiceImpl::Options(), host_.get());
      DISTILLERY_ASSIGN_OR_RETURN(
          teacher_server_, StartServer({v1::TeacherService::service_full_name(), teacher_.get()}));
      teachers = TeacherChannels::Of(teacher_server_->InProcessChannel(), "of this process");
    }
    Worker::Options worker;
    worker.name = "in-process";
    worker.data_dir = options.data_dir;
    worker.data_from_teachers = false;  // the teacher here has the same folder
    worker.warn_of_failures = false;    // a run that fails ends with the reason
    worker.student_dir = options.student_dir;
    worker.device = options.device;
    DISTILLERY_ASSIGN_OR_RETURN(worker.numerics_fingerprint, ComputeFingerprint(options.device));
    worker_ = std::make_unique<Worker>(
        worker, Connection::Of(coordinator_server_->InProcessChannel()), std::move(teachers));
    if (options.run != nullptr) {
      // By the worker, which keeps the data for its tasks.
      DISTILLERY_ASSIGN_OR_RETURN(const auto data, worker_->OpenRunData(*options.run));
      if (teacher_card.has_value()) {
        DISTILLERY_RETURN_IF_ERROR(
            CheckTeacherFitsData(absl::StrCat("teacher.model ", options.teacher_model),
                                 {teacher_card->samples, teacher_card->class_count()},
                                 options.run->dataset.name, {data->spec(), data->class_count()}));
      }
    }
    worker_thread_ = std::thread([this] { (void)worker_->Run(); });
    return absl::OkStatus();
  }

  std::shared_ptr<grpc::Channel> coordinator() override {
    return coordinator_server_->InProcessChannel();
  }
  std::string teacher_digest() override { return teacher_digest_; }

 private:
  static absl::StatusOr<std::unique_ptr<RpcServer>> StartServer(const RpcServer::Service& service) {
    RpcServer::Options options;
    options.address.clear();
    DISTILLERY_ASSIGN_OR_RETURN(auto server, RpcServer::Start(options, {service}));
    server->SetServing(true);
    return server;
  }

  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<CoordinatorServiceImpl> coordinator_service_;
  std::unique_ptr<TeacherHost> host_;
  std::string teacher_digest_;
  std::unique_ptr<TeacherServiceImpl> teacher_;
  std::unique_ptr<RpcServer> coordinator_server_;
  std::unique_ptr<RpcServer> teacher_server_;
  std::unique_ptr<Worker> worker_;
  std::thread worker_thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalServices>> LocalServices::Start(const Options& options) {
  auto services = std::make_unique<InProcess>();
  DISTILLERY_RETURN_IF_ERROR(services->Start(options));
  return std::unique_ptr<LocalServices>(std::move(services));
}

}  // namespace distillery
