#include "cli/runs/teacher_query.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "student_worker/rpc/dataset_messages.h"

namespace distillery {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(30);

}  // namespace

absl::StatusOr<TeacherQuery> TeacherQuery::Connect(const std::string& address,
                                                   const TransportOptions& transport) {
  DISTILLERY_ASSIGN_OR_RETURN(auto connection, Connection::Open(address, transport));
  return TeacherQuery(std::move(connection), address);
}

absl::Status TeacherQuery::Explain(const grpc::Status& status) const {
  absl::Status plain = connection_->Explain(FromGrpcStatus(status));
  if (!NobodyAnswered(plain)) return plain;
  return absl::UnavailableError(
      absl::StrCat("no teacher answers at ", address_,
                   ": start `teacher_service --model FILE`, or give --teacher HOST:PORT (",
                   std::string(plain.message()), ")"));
}

absl::StatusOr<v1::Teacher> TeacherQuery::Describe() const {
  const auto stub = v1::TeacherService::NewStub(connection_->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  v1::GetTeacherResponse response;
  DISTILLERY_RETURN_IF_ERROR(Explain(stub->GetTeacher(&context, {}, &response)));
  return std::move(*response.mutable_teacher());
}

absl::StatusOr<v1::ListTeachersResponse> TeacherQuery::List() const {
  constexpr absl::Duration kSoon = absl::Seconds(2);
  const auto stub = v1::TeacherService::NewStub(connection_->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kSoon));
  v1::ListTeachersResponse response;
  DISTILLERY_RETURN_IF_ERROR(Explain(stub->ListTeachers(&context, {}, &response)));
  return response;
}

absl::StatusOr<v1::DescribeDatasetResponse> TeacherQuery::DescribeDataset(
    const DatasetReference& reference) const {
  const auto stub = v1::TeacherService::NewStub(connection_->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  v1::DescribeDatasetRequest request;
  FillSelector(reference, request.mutable_dataset());
  v1::DescribeDatasetResponse response;
  DISTILLERY_RETURN_IF_ERROR(Explain(stub->DescribeDataset(&context, request, &response)));
  return response;
}

absl::StatusOr<std::vector<float>> TeacherQuery::Probabilities(const Sample& sample,
                                                               double temperature) const {
  v1::ComputeSoftTargetsRequest request;
  v1::Tensor* const inputs = request.mutable_inputs();
  inputs->set_data_type(v1::DATA_TYPE_FLOAT32);
  inputs->add_shape(1);
  for (const int64_t size : sample.shape.ToVector()) inputs->add_shape(size);
  inputs->set_data(sample.pixels.data(), sample.pixels.size() * sizeof(float));
  request.set_temperature(temperature);
  request.set_representation(v1::REPRESENTATION_PROBABILITIES);
  const auto stub = v1::TeacherService::NewStub(connection_->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  v1::ComputeSoftTargetsResponse response;
  DISTILLERY_RETURN_IF_ERROR(Explain(stub->ComputeSoftTargets(&context, request, &response)));
  const std::string& data = response.soft_targets().data();
  std::vector<float> probabilities(data.size() / sizeof(float));
  std::memcpy(probabilities.data(), data.data(), probabilities.size() * sizeof(float));
  return probabilities;
}

}  // namespace distillery
