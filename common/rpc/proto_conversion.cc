#include "common/rpc/proto_conversion.h"

#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text.h"

namespace distillery {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

const FieldDescriptor* FieldNamed(const Message& message, const char* name) {
  return message.GetDescriptor()->FindFieldByName(name);
}

// Visits a RunSpec, or figures, and sets the field of the same name in the message.
class ProtoWriter {
 public:
  explicit ProtoWriter(Message* root) : at_(root) {}
  void Field(const char* name, const std::string& value) {
    at_->GetReflection()->SetString(at_, FieldNamed(*at_, name), WholeUtf8(value));
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
  void Field(const char* name, const std::vector<int64_t>& values) {
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    for (const int64_t value : values) at_->GetReflection()->AddInt64(at_, field, value);
  }
  void Field(const char* name, const std::vector<std::string>& values) {
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    for (const std::string& value : values) at_->GetReflection()->AddString(at_, field, value);
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

// Visits a RunSpec, or figures, and fills it from the field of the same name in the message.
// `defaults`: fields that are not set stay as they are.
class ProtoReader {
 public:
  ProtoReader(const Message* root, bool defaults) : at_(root), defaults_(defaults) {}
  void Field(const char* name, std::string& value) {
    if (!Stays(name)) value = at_->GetReflection()->GetString(*at_, FieldNamed(*at_, name));
  }
  void Field(const char* name, double& value) {
    if (!Stays(name)) value = at_->GetReflection()->GetDouble(*at_, FieldNamed(*at_, name));
  }
  void Field(const char* name, bool& value) {
    if (!Stays(name)) value = at_->GetReflection()->GetBool(*at_, FieldNamed(*at_, name));
  }
  void Field(const char* name, int64_t& value) {
    if (Stays(name)) return;
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    value = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32
                ? at_->GetReflection()->GetInt32(*at_, field)
                : at_->GetReflection()->GetInt64(*at_, field);
  }
  void Field(const char* name, std::vector<int64_t>& values) {
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    values.clear();
    for (int i = 0; i < at_->GetReflection()->FieldSize(*at_, field); ++i) {
      values.push_back(at_->GetReflection()->GetRepeatedInt64(*at_, field, i));
    }
  }
  void Field(const char* name, std::vector<std::string>& values) {
    const FieldDescriptor* const field = FieldNamed(*at_, name);
    values.clear();
    for (int i = 0; i < at_->GetReflection()->FieldSize(*at_, field); ++i) {
      values.push_back(at_->GetReflection()->GetRepeatedString(*at_, field, i));
    }
  }
  template <typename Body>
  void Group(const char* name, Body body) {
    const Message* const outer = at_;
    at_ = &outer->GetReflection()->GetMessage(*outer, FieldNamed(*outer, name));
    body();
    at_ = outer;
  }

 private:
  bool Stays(const char* name) const {
    return defaults_ && !at_->GetReflection()->HasField(*at_, FieldNamed(*at_, name));
  }
  const Message* at_;
  const bool defaults_;
};

absl::StatusOr<RunSpec> Read(const v1::RunSpec& proto, bool defaults) {
  RunSpec spec;
  ProtoReader reader(&proto, defaults);
  VisitRunSpec(reader, spec);
  PutOnesForZeros(&spec);
  DISTILLERY_RETURN_IF_ERROR(ValidateRunSpec(spec));
  return spec;
}

}  // namespace

v1::RunSpec ToProto(const RunSpec& spec) {
  v1::RunSpec proto;
  ProtoWriter writer(&proto);
  VisitRunSpec(writer, spec);
  return proto;
}

absl::StatusOr<RunSpec> FromProto(const v1::RunSpec& proto) {
  return Read(proto, /*defaults=*/false);
}

absl::StatusOr<RunSpec> SubmittedSpec(const v1::RunSpec& proto) {
  return Read(proto, /*defaults=*/true);
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
  ProtoWriter writer(&proto);
  VisitTrainMetrics([&](const char* name, auto figure, OfRound /*of*/, const char* /*tag*/) {
    writer.Field(name, metrics.*figure);
  });
  return proto;
}

TrainMetrics FromProto(const v1::TrainMetrics& proto) {
  TrainMetrics metrics;
  ProtoReader reader(&proto, /*defaults=*/false);
  VisitTrainMetrics([&](const char* name, auto figure, OfRound /*of*/, const char* /*tag*/) {
    reader.Field(name, metrics.*figure);
  });
  return metrics;
}

v1::EvaluationMetrics ToProto(const EvaluationMetrics& metrics) {
  v1::EvaluationMetrics proto = ToProtoWithoutDetails(metrics);
  v1::EvaluationDetails& details = *proto.mutable_details();
  const auto copy = [](const std::vector<int64_t>& from, auto* to) {
    to->Add(from.begin(), from.end());
  };
  copy(metrics.samples_per_class, details.mutable_samples_per_class());
  copy(metrics.correct_per_class, details.mutable_correct_per_class());
  copy(metrics.confusion_matrix, details.mutable_confusion_matrix());
  for (const CalibrationBin& bin : metrics.calibration_bins) {
    v1::CalibrationBin& added = *details.add_calibration_bins();
    added.set_sample_count(bin.sample_count);
    added.set_correct_count(bin.correct_count);
    added.set_confidence_sum(bin.confidence_sum);
  }
  const auto fill = [](const std::vector<double>& from, auto* to) {
    to->Add(from.begin(), from.end());
  };
  if (!metrics.f1_per_label.empty()) {
    fill(metrics.f1_per_label, details.mutable_labels()->mutable_f1());
    fill(metrics.average_precision_per_label,
         details.mutable_labels()->mutable_average_precision());
  }
  if (!metrics.r2_per_value.empty()) {
    fill(metrics.mean_squared_error_per_value,
         details.mutable_values()->mutable_mean_squared_error());
    fill(metrics.r2_per_value, details.mutable_values()->mutable_r2());
  }
  return proto;
}

v1::EvaluationMetrics ToProtoWithoutDetails(const EvaluationMetrics& metrics) {
  v1::EvaluationMetrics proto;
  ProtoWriter writer(&proto);
  VisitEvaluationMetrics(
      [&](const char* name, auto figure) { writer.Field(name, metrics.*figure); });
  VisitOfKinds([&](const char* name, auto figure, auto count) {
    if (IsMeasured(metrics, figure, count)) writer.Field(name, metrics.*figure);
  });
  proto.set_calibration_error(metrics.calibration_error());
  if (metrics.has_perplexity()) proto.set_perplexity(metrics.perplexity());
  return proto;
}

EvaluationMetrics FromProto(const v1::EvaluationMetrics& proto) {
  EvaluationMetrics metrics;
  ProtoReader reader(&proto, /*defaults=*/false);
  VisitEvaluationMetrics(
      [&](const char* name, auto figure) { reader.Field(name, metrics.*figure); });
  VisitOfKinds(
      [&](const char* name, auto figure, auto /*count*/) { reader.Field(name, metrics.*figure); });
  const v1::EvaluationDetails& details = proto.details();
  const auto list = [](const auto& from) { return std::vector<int64_t>(from.begin(), from.end()); };
  const auto figures = [](const auto& from) {
    return std::vector<double>(from.begin(), from.end());
  };
  metrics.f1_per_label = figures(details.labels().f1());
  metrics.average_precision_per_label = figures(details.labels().average_precision());
  metrics.mean_squared_error_per_value = figures(details.values().mean_squared_error());
  metrics.r2_per_value = figures(details.values().r2());
  metrics.samples_per_class = list(details.samples_per_class());
  metrics.correct_per_class = list(details.correct_per_class());
  metrics.confusion_matrix = list(details.confusion_matrix());
  for (const v1::CalibrationBin& bin : details.calibration_bins()) {
    metrics.calibration_bins.push_back(
        {bin.sample_count(), bin.correct_count(), bin.confidence_sum()});
  }
  return metrics;
}

}  // namespace distillery
