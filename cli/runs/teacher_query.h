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

// What a teacher takes and answers, and what a data set's samples are; pixel_max is not looked at.
// Errors as ReadSampleSpec; DATA_LOSS for a description that is none.
absl::StatusOr<SampleSpec> SamplesOf(const v1::Teacher& teacher);
absl::StatusOr<SampleSpec> SamplesOf(const v1::DescribeDatasetResponse& dataset);

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
  // softmax(z/T) of one sample [positions, classes]; of several labels sigmoid(z/T), and of values
  // the numbers, whatever the temperature. `about` is the teacher's description.
  absl::StatusOr<std::vector<float>> Ask(const v1::Teacher& about, const Sample& sample,
                                         double temperature) const;

 private:
  TeacherQuery(std::shared_ptr<Connection> connection, std::string address)
      : connection_(std::move(connection)), address_(std::move(address)) {}
  absl::Status Explain(const grpc::Status& status) const;
  std::shared_ptr<Connection> connection_;
  std::string address_;
};

}  // namespace distillery
