#include "common/rpc/proto_conversion.h"

#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor* FieldNamed(const Message& message, const char* name) {
  return message.GetDescriptor()->FindFieldByName(name);
}

// Visits a RunSpec and sets the field of the same name in the message.
class ProtoWriter {
 public:
  explicit ProtoWriter(Message* root) : at_(root) {}
  void Field(const char* name, const std::string& value) {
    at_->GetReflection()->SetString(at_, FieldNamed(*at_, name), value);
  }
  void Field(const char* name, double value) {
    at_->GetReflection()->SetDouble(at_, FieldNamed(*at_, name), value);
  }
  void Field(const char* name, bool value) {
    at_->GetReflection()->SetBool(at_, FieldNamed(*at_, name), value);
  }
  void Field(const char* name, int64_t value) {
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
      at_->GetReflection()->SetInt32(at_, field, static_cast<int32_t>(value));
    } else {
      at_->GetReflection()->SetInt64(at_, field, value);
    }
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    Message* const outer = at_;
    at_ = outer->GetReflection()->MutableMessage(outer, FieldNamed(*outer, name));
    body();
    at_ = outer;
  }

 private:
  Message* at_;
};

// Visits a RunSpec and fills it from the field of the same name in the message.
class ProtoReader {
 public:
  explicit ProtoReader(const Message* root) : at_(root) {}
  void Field(const char* name, std::string& value) {
    value = at_->GetReflection()->GetString(*at_, FieldNamed(*at_, name));
  }
  void Field(const char* name, double& value) {
    value = at_->GetReflection()->GetDouble(*at_, FieldNamed(*at_, name));
  }
  void Field(const char* name, bool& value) {
    value = at_->GetReflection()->GetBool(*at_, FieldNamed(*at_, name));
  }
  void Field(const char* name, int64_t& value) {
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    value = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32
                ? at_->GetReflection()->GetInt32(*at_, field)
                : at_->GetReflection()->GetInt64(*at_, field);
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    const Message* const outer = at_;
    at_ = &outer->GetReflection()->GetMessage(*outer, FieldNamed(*outer, name));
    body();
    at_ = outer;
  }

 private:
  const Message* at_;
};

}  // namespace

v1::RunSpec ToProto(const RunSpec& spec) {
  v1::RunSpec proto;
  ProtoWriter writer(&proto);
  VisitRunSpec(writer, spec);
  return proto;
}

absl::StatusOr<RunSpec> FromProto(const v1::RunSpec& proto) {
  RunSpec spec;
  ProtoReader reader(&proto);
  VisitRunSpec(reader, spec);
  DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(spec));
  return spec;
}

v1::TaskLease ToProto(const Lease& lease) {
  v1::TaskLease proto;
  proto.set_run_id(lease.task.run_id);
  proto.set_kind(static_cast<v1::TaskKind>(lease.task.kind));
  proto.set_round(static_cast<int32_t>(lease.task.round));
  proto.set_replica(static_cast<int32_t>(lease.task.replica));
  proto.set_fencing_token(lease.fencing_token);
  proto.set_worker_id(lease.worker_id);
  return proto;
}

absl::StatusOr<Lease> FromProto(const v1::TaskLease& proto) {
  if (proto.kind() == v1::TASK_KIND_UNSPECIFIED || !v1::TaskKind_IsValid(proto.kind())) {
    return absl::InvalidArgumentError(absl::StrCat("lease.kind is unknown: ", proto.kind()));
  }
  DISTILLERY_RETURN_IF_ERROR(CheckName("lease.run_id", proto.run_id(), 128));
  DISTILLERY_RETURN_IF_ERROR(CheckName("lease.worker_id", proto.worker_id(), 128));
  Lease lease;
  lease.task = {proto.run_id(), static_cast<TaskKind>(proto.kind()), proto.round(),
                proto.replica()};
  lease.fencing_token = proto.fencing_token();
  lease.worker_id = proto.worker_id();
  return lease;
}

v1::TrainMetrics ToProto(const TrainMetrics& metrics) {
  v1::TrainMetrics proto;
  proto.set_sample_count(metrics.sample_count);
  proto.set_step_count(metrics.step_count);
  proto.set_loss(metrics.loss);
  proto.set_soft_loss(metrics.soft_loss);
  proto.set_hard_loss(metrics.hard_loss);
  proto.set_seconds(metrics.seconds);
  proto.set_teacher_wait_seconds(metrics.teacher_wait_seconds);
  proto.set_teacher_failover_count(metrics.teacher_failover_count);
  return proto;
}

TrainMetrics FromProto(const v1::TrainMetrics& proto) {
  return {proto.sample_count(), proto.step_count(), proto.loss(),
          proto.soft_loss(),    proto.hard_loss(),  proto.seconds(),
          proto.teacher_wait_seconds(), proto.teacher_failover_count()};
}

v1::EvaluationMetrics ToProto(const EvaluationMetrics& metrics) {
  v1::EvaluationMetrics proto;
  proto.set_sample_count(metrics.sample_count);
  proto.set_correct_count(metrics.correct_count);
  proto.set_cross_entropy(metrics.cross_entropy);
  proto.set_agreement_count(metrics.agreement_count);
  return proto;
}

EvaluationMetrics FromProto(const v1::EvaluationMetrics& proto) {
  return {proto.sample_count(), proto.correct_count(), proto.cross_entropy(),
          proto.agreement_count()};
}

}  // namespace distillery
