// Soft targets over gRPC from a teacher service.
#pragma once

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <string>

#include "common/rpc/call_canceller.h"
#include "student_worker/soft_target_source.h"

namespace distillery {

class TeacherClient : public SoftTargetSource {
 public:
  // `address` is for messages. `waiting` is told what is waited for, and "" when that is over.
  TeacherClient(std::shared_ptr<grpc::Channel> channel, std::string address,
                CallCanceller* canceller, std::function<void(const std::string&)> waiting);

  absl::Status ReadShard(ShardRequest* request, const CancelCheck& cancelled,
                         std::vector<float>* rows) override;

 private:
  // One stream from the first row that is missing; OK when its trailer has come and all fits.
  absl::Status ReadOnce(ShardRequest* request, std::vector<float>* rows);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  CallCanceller* const canceller_;
  const std::function<void(const std::string&)> waiting_;
};

}  // namespace distillery
