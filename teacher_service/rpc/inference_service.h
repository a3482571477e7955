// The gRPC skin of the Open Inference Protocol: the host's teachers as models. Queries compute with
// those of distillery.v1.TeacherService, in the same batches.
//
// Threads: safe for all; reactors never block.
#pragma once

#include "absl/status/status.h"
#include "inference/grpc_service.grpc.pb.h"
#include "teacher_service/teacher_host.h"

namespace distillery {

class InferenceServiceImpl final : public inference::GRPCInferenceService::CallbackService {
 public:
  // `host` must outlive this. Shut the server down before destroying this.
  explicit InferenceServiceImpl(TeacherHost* host) : host_(host) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* ServerLive(Context* context, const inference::ServerLiveRequest* request,
                      inference::ServerLiveResponse* response) override;
  Reactor* ServerReady(Context* context, const inference::ServerReadyRequest* request,
                       inference::ServerReadyResponse* response) override;
  Reactor* ModelReady(Context* context, const inference::ModelReadyRequest* request,
                      inference::ModelReadyResponse* response) override;
  Reactor* ServerMetadata(Context* context, const inference::ServerMetadataRequest* request,
                          inference::ServerMetadataResponse* response) override;
  Reactor* ModelMetadata(Context* context, const inference::ModelMetadataRequest* request,
                         inference::ModelMetadataResponse* response) override;
  Reactor* ModelInfer(Context* context, const inference::ModelInferRequest* request,
                      inference::ModelInferResponse* response) override;
  Reactor* ModelConfig(Context* context, const inference::ModelConfigRequest* request,
                       inference::ModelConfigResponse* response) override;
  Reactor* ModelStatistics(Context* context, const inference::ModelStatisticsRequest* request,
                           inference::ModelStatisticsResponse* response) override;

 private:
  // The teacher that a call describes. Errors as TeacherHost::ReadyTeacher and CheckModelVersion.
  absl::StatusOr<std::shared_ptr<Teacher>> Find(const std::string& name,
                                                const std::string& version) const;
  // Queues the query; the compute thread then fills the response and finishes the call, unless an
  // error is returned.
  absl::Status Infer(Context* context, const inference::ModelInferRequest* request,
                     inference::ModelInferResponse* response, Reactor* reactor);
  absl::Status ListStatistics(const inference::ModelStatisticsRequest& request,
                              inference::ModelStatisticsResponse* response) const;

  TeacherHost* const host_;
};

}  // namespace distillery
