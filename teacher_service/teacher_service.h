// The gRPC skin of the teacher. Computing runs on its own pool; reactors never block.
#pragma once

#include <atomic>
#include <memory>

#include "common/base/task_pool.h"
#include "common/data/catalog.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "teacher_service/teacher.h"

namespace distillery {

class TeacherServiceImpl final : public v1::TeacherService::CallbackService {
 public:
  struct Options {
    std::string data_dir;
    // Cuts computed at the same time.
    int compute_slots = 1;
  };
  // Answers UNAVAILABLE until SetTeacher. Shut the server down before destroying this.
  explicit TeacherServiceImpl(const Options& options);

  // Call once, when the teacher is warm.
  void SetTeacher(std::unique_ptr<Teacher> teacher);
  // From now on new calls get UNAVAILABLE, and streams end so at their next chunk.
  void Drain() { draining_.store(true); }

  using Context = grpc::CallbackServerContext;
  grpc::ServerUnaryReactor* GetTeacher(Context* context, const v1::GetTeacherRequest* request,
                                       v1::GetTeacherResponse* response) override;
  grpc::ServerWriteReactor<v1::StreamSoftTargetsResponse>* StreamSoftTargets(
      Context* context, const v1::StreamSoftTargetsRequest* request) override;
  grpc::ServerUnaryReactor* ComputeSoftTargets(Context* context,
                                               const v1::ComputeSoftTargetsRequest* request,
                                               v1::ComputeSoftTargetsResponse* response) override;

 private:
  friend class SoftTargetStream;
  // The teacher, or UNAVAILABLE while loading or draining.
  absl::StatusOr<Teacher*> ReadyTeacher() const;
  absl::Status Compute(const v1::ComputeSoftTargetsRequest& request,
                       v1::ComputeSoftTargetsResponse* response);

  const Options options_;
  DatasetCatalog catalog_;
  std::unique_ptr<Teacher> owned_teacher_;
  std::atomic<Teacher*> teacher_{nullptr};
  std::atomic<bool> draining_{false};
  TaskPool pool_;
};

}  // namespace distillery
