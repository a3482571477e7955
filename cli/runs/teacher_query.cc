#include "cli/runs/teacher_query.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/data/numbers.h"
#include "common/rpc/sample_conversion.h"
#include "common/rpc/soft_target_conversion.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "student_worker/rpc/dataset_messages.h"

namespace distillery {
namespace {

constexpr absl::Duration kDeadline = absl::Seconds(30);

// One row of an input.
void Fill(const Sample& sample, size_t input, v1::Tensor* tensor) {
  tensor->set_data_type(ToProto(ModelType(sample.spec.inputs[input])));
  tensor->add_shape(1);
  for (const int64_t size : sample.spec.inputs[input].shape) tensor->add_shape(size);
  std::visit(
      [&](const auto& numbers) {
        tensor->set_data(numbers.data(), numbers.size() * sizeof(numbers.front()));
      },
      sample.inputs[input]);
}

template <typename Message>
absl::StatusOr<SampleSpec> ReadSamples(const Message& message) {
  if (message.inputs_size() > 0) return ReadSampleSpec(message.inputs(), message.answer());
  const auto& sizes = message.input_shape();
  if (sizes.size() != 3) return absl::DataLossError("input_shape is no image's");
  return SampleSpec::Pictures({sizes[0], sizes[1], sizes[2]}, UINT8_MAX);
}

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

absl::StatusOr<SampleSpec> SamplesOf(const v1::Teacher& teacher) { return ReadSamples(teacher); }
absl::StatusOr<SampleSpec> SamplesOf(const v1::DescribeDatasetResponse& dataset) {
  return ReadSamples(dataset);
}

absl::StatusOr<std::vector<float>> TeacherQuery::Ask(const v1::Teacher& about, const Sample& sample,
                                                     double temperature) const {
  v1::ComputeSoftTargetsRequest request;
  if (sample.spec.is_picture()) {
    Fill(sample, 0, request.mutable_inputs());
  } else {
    for (size_t i = 0; i < sample.inputs.size(); ++i) {
      v1::NamedInput* const input = request.add_named_inputs();
      input->set_name(sample.spec.inputs[i].name);
      Fill(sample, i, input->mutable_tensor());
    }
  }
  const bool values = about.answer().kind() == v1::ANSWER_KIND_VALUES;
  request.set_temperature(values ? 1 : temperature);
  request.set_representation(values ? v1::REPRESENTATION_LOGITS : v1::REPRESENTATION_PROBABILITIES);
  const auto stub = v1::TeacherService::NewStub(connection_->channel());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
  v1::ComputeSoftTargetsResponse response;
  DISTILLERY_RETURN_IF_ERROR(Explain(stub->ComputeSoftTargets(&context, request, &response)));
  const std::string& data = response.soft_targets().data();
  std::vector<float> answer(data.size() / sizeof(float));
  std::memcpy(answer.data(), data.data(), answer.size() * sizeof(float));
  return answer;
}

}  // namespace distillery
