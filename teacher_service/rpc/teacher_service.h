// The gRPC skin of the teacher: distillery.v1.TeacherService. Reactors never block.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/task_pool.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "teacher_service/rpc/stream_service.h"
#include "teacher_service/teacher_host.h"

namespace distillery {

class TeacherServiceImpl final : public v1::TeacherService::WithRawCallbackMethod_StreamSoftTargets<
                                     v1::TeacherService::CallbackService> {
 public:
  struct Options {
    StreamService::Options streams;
    int64_t max_queries_per_client = 1024;
    // Who may call ReloadModel: "loopback" for plain-text calls from this machine, nobody without
    // it; over TLS the operators of these names, all of them without any.
    std::vector<std::string> reload_clients;
    // Loads a model's file anew.
    std::function<absl::StatusOr<std::shared_ptr<Teacher>>(const std::string& name)> load;
  };
  // Shut the server down before destroying this.
  TeacherServiceImpl(const Options& options, TeacherHost* host);

  StreamService& streams() { return streams_; }

  using Context = grpc::CallbackServerContext;
  grpc::ServerUnaryReactor* GetTeacher(Context* context, const v1::GetTeacherRequest* request,
                                       v1::GetTeacherResponse* response) override;
  grpc::ServerUnaryReactor* ListTeachers(Context* context, const v1::ListTeachersRequest* request,
                                         v1::ListTeachersResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamSoftTargets(
      Context* context, const grpc::ByteBuffer* request) override {
    return streams_.Open(context, request);
  }
  grpc::ServerUnaryReactor* ComputeSoftTargets(Context* context,
                                               const v1::ComputeSoftTargetsRequest* request,
                                               v1::ComputeSoftTargetsResponse* response) override;
  grpc::ServerUnaryReactor* DescribeDataset(Context* context,
                                            const v1::DescribeDatasetRequest* request,
                                            v1::DescribeDatasetResponse* response) override;
  grpc::ServerUnaryReactor* ReloadModel(Context* context, const v1::ReloadModelRequest* request,
                                        v1::ReloadModelResponse* response) override;

 private:
  // Queues the inputs; `reactor` is finished then, or when the logits are there.
  absl::Status Compute(Context* context, const v1::ComputeSoftTargetsRequest& request,
                       v1::ComputeSoftTargetsResponse* response, grpc::ServerUnaryReactor* reactor);
  static absl::Status Describe(const Dataset& dataset, v1::DescribeDatasetResponse* response);
  absl::Status Reload(const v1::ReloadModelRequest& request, v1::ReloadModelResponse* response);
  bool MayReload(const Context& context) const;
  void FillActivity(v1::TeacherActivity* activity);

  const Options options_;
  TeacherHost* const host_;
  ClientLimits query_limits_;
  StreamService streams_;
  Mutex reload_mutex_;
  // By request_id; the oldest are forgotten.
  std::map<std::string, v1::ReloadModelResponse> reloads_ ABSL_GUARDED_BY(reload_mutex_);
  std::deque<std::string> reload_order_ ABSL_GUARDED_BY(reload_mutex_);
  // Reads models; data sets are read in the catalog's threads. Last: it uses the others.
  TaskPool pool_{1};
};

}  // namespace distillery
