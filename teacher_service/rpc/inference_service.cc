#include "teacher_service/rpc/inference_service.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"
#include "teacher_service/rpc/inference_models.h"
#include "teacher_service/rpc/inference_request.h"
#include "teacher_service/rpc/inference_response.h"
#include "teacher_service/rpc/teacher_messages.h"

namespace distillery {
namespace {

grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Teacher>> InferenceServiceImpl::Find(
    const std::string& name, const std::string& version) const {
  DISTILLERY_ASSIGN_OR_RETURN(std::shared_ptr<Teacher> teacher, host_->ReadyTeacher(name));
  DISTILLERY_RETURN_IF_ERROR(CheckModelVersion("version", version));
  return teacher;
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerLive(
    Context* context, const inference::ServerLiveRequest* /*request*/,
    inference::ServerLiveResponse* response) {
  response->set_live(true);
  return Done(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerReady(
    Context* context, const inference::ServerReadyRequest* /*request*/,
    inference::ServerReadyResponse* response) {
  response->set_ready(!host_->draining() && host_->models().Ready());
  return Done(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelReady(
    Context* context, const inference::ModelReadyRequest* request,
    inference::ModelReadyResponse* response) {
  absl::Status status = Find(request->name(), request->version()).status();
  response->set_ready(status.ok());
  // That it is loading or draining is the answer, not an error; a name that nobody knows is one.
  if (absl::IsUnavailable(status)) {
    status = host_->models().Resolve(request->name()).status();
    status.Update(CheckModelVersion("version", request->version()));
  }
  return Done(context, status);
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerMetadata(
    Context* context, const inference::ServerMetadataRequest* /*request*/,
    inference::ServerMetadataResponse* response) {
  response->set_name("distillery");
  response->set_version(DISTILLERY_VERSION);
  response->add_extensions("classification");
  response->add_extensions("model_configuration");
  response->add_extensions("statistics");
  return Done(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelMetadata(
    Context* context, const inference::ModelMetadataRequest* request,
    inference::ModelMetadataResponse* response) {
  const auto teacher = Find(request->name(), request->version());
  if (teacher.ok()) FillModelMetadata((*teacher)->info(), response);
  return Done(context, teacher.status());
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelInfer(
    Context* context, const inference::ModelInferRequest* request,
    inference::ModelInferResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  if (const absl::Status status = Infer(context, request, response, reactor); !status.ok()) {
    reactor->Finish(ToGrpcStatus(status));
  }
  return reactor;
}

absl::Status InferenceServiceImpl::Infer(Context* context,
                                         const inference::ModelInferRequest* request,
                                         inference::ModelInferResponse* response,
                                         Reactor* reactor) {
  DISTILLERY_ASSIGN_OR_RETURN(const std::shared_ptr<Teacher> teacher,
                              host_->ReadyTeacher(request->model_name()));
  DISTILLERY_RETURN_IF_ERROR(CheckModelVersion("model_version", request->model_version()));
  DISTILLERY_ASSIGN_OR_RETURN(InferenceRequest read,
                              ReadInferenceRequest(*request, teacher->info()));
  ComputeScheduler& scheduler = host_->scheduler();
  // The message lives until the call is finished, and with it what the inputs point to.
  const auto asked = std::make_shared<const InferenceRequest>(std::move(read));
  Query query;
  query.teacher = teacher;
  query.inputs = asked->inputs.columns();
  query.rows = asked->rows;
  query.any_finite_pixels = asked->parameters.allow_out_of_range;
  query.deadline = std::min(SteadyDeadline(*context, scheduler.clock()),
                            scheduler.clock()->SteadyNow() + asked->parameters.timeout);
  query.cancelled = [context] { return context->IsCancelled(); };
  query.done = [=](const absl::Status& status, const float* logits) {
    if (status.ok()) {
      FillInferenceResponse(*asked, teacher->info(), logits, response);
      response->set_id(request->id());
    }
    reactor->Finish(ToGrpcStatus(status));
  };
  return scheduler.AddQuery(std::move(query));
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelConfig(
    Context* context, const inference::ModelConfigRequest* request,
    inference::ModelConfigResponse* response) {
  const auto teacher = Find(request->name(), request->version());
  if (teacher.ok()) {
    FillModelConfig((*teacher)->info(), host_->options().compute.queue, response->mutable_config());
  }
  return Done(context, teacher.status());
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelStatistics(
    Context* context, const inference::ModelStatisticsRequest* request,
    inference::ModelStatisticsResponse* response) {
  return Done(context, ListStatistics(*request, response));
}

absl::Status InferenceServiceImpl::ListStatistics(
    const inference::ModelStatisticsRequest& request,
    inference::ModelStatisticsResponse* response) const {
  DISTILLERY_RETURN_IF_ERROR(CheckModelVersion("version", request.version()));
  std::vector<std::string> names = host_->models().Names();
  if (!request.name().empty()) {
    DISTILLERY_ASSIGN_OR_RETURN(std::string name, host_->models().Resolve(request.name()));
    names = {std::move(name)};
  }
  // A model that has done nothing yet has statistics too: clients take differences.
  std::map<std::string, distillery::ModelStatistics> statistics = host_->scheduler().statistics();
  for (const std::string& name : names) {
    FillModelStatistics(name, statistics[name], response->add_model_stats());
  }
  return absl::OkStatus();
}

}  // namespace distillery
