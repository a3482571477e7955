// A running teacher as people's tools see it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/models/sample.h"
#include "common/data/dataset.h"
#include "common/rpc/connection.h"
#include "distillery/v1/teacher_service.pb.h"

namespace distillery {

class TeacherQuery {
 public:
  // Errors as Connection::Open.
  static absl::StatusOr<TeacherQuery> Connect(const std::string& address,
                                              const TransportOptions& transport);
  // Each: UNAVAILABLE says where the teacher was looked for; FAILED_PRECONDITION what is wrong with
  // TLS; else as the rpc's comment.
  absl::StatusOr<v1::Teacher> Describe() const;
  // All models, and what the service does. Waits two seconds at most.
  absl::StatusOr<v1::ListTeachersResponse> List() const;
  // Describes a split of one of the teacher's data sets.
  absl::StatusOr<v1::DescribeDatasetResponse> DescribeDataset(
      const DatasetReference& reference) const;
  // softmax(z/T) of one sample, one per class.
  absl::StatusOr<std::vector<float>> Probabilities(const Sample& sample, double temperature) const;

 private:
  TeacherQuery(std::shared_ptr<Connection> connection, std::string address)
      : connection_(std::move(connection)), address_(std::move(address)) {}
  absl::Status Explain(const grpc::Status& status) const;
  std::shared_ptr<Connection> connection_;
  std::string address_;
};

}  // namespace distillery
