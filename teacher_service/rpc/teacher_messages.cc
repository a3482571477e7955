#include "teacher_service/rpc/teacher_messages.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/rpc/sample_conversion.h"
#include "common/rpc/soft_target_conversion.h"

namespace distillery {

absl::StatusOr<Encoding> ReadEncoding(int encoding) {
  if (encoding == v1::ENCODING_UNSPECIFIED) return Encoding::kFloat32;
  for (const EncodingSpec& spec : Encodings()) {
    if (spec.wire == encoding) return spec.encoding;
  }
  return absl::InvalidArgumentError(absl::StrCat("encoding is unknown: ", encoding));
}

absl::StatusOr<SoftTargetFormat> ReadFormat(double temperature, int representation, int encoding,
                                            int64_t top_k, const AnswerShape& shape) {
  SoftTargetFormat format;
  format.temperature = temperature;
  format.top_k = top_k;
  DISTILLERY_ASSIGN_OR_RETURN(format.representation, ReadRepresentation(representation));
  DISTILLERY_ASSIGN_OR_RETURN(format.encoding, ReadEncoding(encoding));
  DISTILLERY_RETURN_IF_ERROR(format.Validate(shape));
  return format;
}

absl::StatusOr<View> ReadView(const v1::AugmentationSelector& selector) {
  View view;
  DISTILLERY_ASSIGN_OR_RETURN(view.augmentation, Augmentation::Parse(selector.name()));
  view.seed = selector.seed();
  view.view = selector.view();
  if (view.view < 0) return absl::InvalidArgumentError("augmentation.view must be >= 0");
  return view;
}

absl::Status CheckExpected(absl::string_view what, const std::string& expected,
                           const std::string& actual) {
  if (expected.empty() || expected == actual) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(what, " digest is ", actual, ", expected ", Printable(expected)));
}

void FillTeacher(const TeacherInfo& info, v1::Teacher* message) {
  message->set_teacher_digest(info.digest);
  message->set_model_name(info.model_name);
  if (info.card.samples.is_picture_by_class()) {
    for (const int64_t size : info.card.samples.picture_shape().ToVector()) {
      message->add_input_shape(size);
    }
  } else {
    ToProto(info.card.samples, message->mutable_inputs(), message->mutable_answer());
  }
  for (const std::string& name : info.card.class_names) message->add_class_names(name);
  message->set_parameter_count(info.parameter_count);
  message->set_numerics_fingerprint(info.numerics_fingerprint);
  message->set_batch_row_count(static_cast<int32_t>(info.batch_rows));
  message->set_max_batch_row_count(static_cast<int32_t>(info.max_batch_rows));
  for (const float mean : info.card.mean) message->add_mean(mean);
  for (const float deviation : info.card.deviation) message->add_deviation(deviation);
  for (const EnsembleMember& member : info.members) {
    v1::EnsembleMember* const added = message->add_members();
    added->set_model_name(member.model_name);
    added->set_weight(member.weight);
  }
  message->set_ready(true);
}

void FillSoftTargets(int64_t rows, const AnswerShape& shape, const SoftTargetFormat& format,
                     EncodedRows encoded, v1::ComputeSoftTargetsResponse* response) {
  using Field = v1::Tensor* (v1::ComputeSoftTargetsResponse::*)();
  // In the order of TensorRole.
  constexpr Field kFields[] = {&v1::ComputeSoftTargetsResponse::mutable_soft_targets,
                               &v1::ComputeSoftTargetsResponse::mutable_row_scales,
                               &v1::ComputeSoftTargetsResponse::mutable_class_indexes,
                               &v1::ComputeSoftTargetsResponse::mutable_tail_mass};
  for (const EncodedTensor& tensor : format.Tensors(rows, shape)) {
    v1::Tensor& message = *(response->*kFields[static_cast<int>(tensor.role)])();
    message.set_data_type(ToProto(tensor.type));
    message.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
    message.set_data(std::move(encoded[tensor.role]));
  }
}

absl::Status StillWanted(const grpc::ServerContextBase& context) {
  if (context.deadline() <= std::chrono::system_clock::now()) {
    return absl::DeadlineExceededError("the deadline has passed");
  }
  return context.IsCancelled() ? absl::CancelledError("the client went away") : absl::OkStatus();
}

absl::Duration SteadyDeadline(const grpc::ServerContextBase& context, Clock* clock) {
  const auto left = context.deadline() - std::chrono::system_clock::now();
  // Farther than this there is none: time_point::max() would overflow.
  if (left > std::chrono::hours(24 * 365)) return absl::InfiniteDuration();
  return clock->SteadyNow() + absl::FromChrono(left);
}

}  // namespace distillery
