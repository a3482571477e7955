// A running teacher as people's tools see it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/sample.h"
#include "common/rpc/transport.h"
#include "distillery/v1/teacher_service.pb.h"

namespace distillery {

class TeacherQuery {
 public:
  // INVALID_ARGUMENT as MakeChannel.
  static absl::StatusOr<TeacherQuery> Connect(const std::string& address,
                                              const TransportOptions& transport);
  // Each: UNAVAILABLE says where the teacher was looked for; else as the rpc's comment.
  absl::StatusOr<v1::Teacher> Describe() const;
  // softmax(z/T) of one sample, one per class.
  absl::StatusOr<std::vector<float>> Probabilities(const Sample& sample, double temperature) const;

 private:
  TeacherQuery(std::shared_ptr<grpc::Channel> channel, std::string address)
      : channel_(std::move(channel)), address_(std::move(address)) {}
  absl::Status Explain(const grpc::Status& status) const;
  std::shared_ptr<grpc::Channel> channel_;
  std::string address_;
};

}  // namespace distillery
