#include "common/rpc/proto_conversion.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/sample_conversion.h"
#include "distillery/v1/teacher_service.pb.h"
#include "tests/common/run/full_spec.h"
#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Names of fields that have no value, also within groups.
std::set<std::string> UnsetFields(const google::protobuf::Message& message) {
  std::set<std::string> unset;
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const auto* const field = message.GetDescriptor()->field(i);
    if (field->is_repeated()) {
      if (reflection.FieldSize(message, field) == 0) unset.insert(field->full_name());
    } else if (!reflection.HasField(message, field)) {
      unset.insert(field->full_name());
    } else if (field->message_type() != nullptr) {
      unset.merge(UnsetFields(reflection.GetMessage(message, field)));
    }
  }
  return unset;
}

TEST(SampleSpecConversion, NumbersThatAreNoKindAndSizesThatCannotBeAreRefused) {
  SampleSpec spec;
  spec.inputs = {{"tokens", ElementType::kInt64, {4}, 0, 9},
                 {"x", ElementType::kFloat16, {}, 0, 0}};
  spec.answer = {AnswerKind::kValues, {4}};
  v1::DescribeDatasetResponse message;
  ToProto(spec, message.mutable_inputs(), message.mutable_answer());
  ASSERT_OK_AND_ASSIGN(const SampleSpec read, ReadSampleSpec(message.inputs(), message.answer()));
  EXPECT_TRUE(read == spec);
  for (const int kind : {-1, 4, INT32_MIN, INT32_MAX}) {
    v1::AnswerSpec answer = message.answer();
    answer.set_kind(static_cast<v1::AnswerKind>(kind));
    EXPECT_THAT(ReadSampleSpec(message.inputs(), answer),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("unknown answer kind ", kind))));
  }
  const auto refused = [&](const std::function<void(v1::InputSpec&)>& change,
                           const std::string& why) {
    v1::DescribeDatasetResponse changed = message;
    change(*changed.mutable_inputs(0));
    EXPECT_THAT(ReadSampleSpec(changed.inputs(), changed.answer()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("input tokens " + why)));
  };
  refused([](v1::InputSpec& input) { input.set_vocabulary(int64_t{1} << 31); }, "has a vocabulary");
  refused([](v1::InputSpec& input) { input.set_pixel_max(INT32_MIN); }, "has a pixel_max");
  refused([](v1::InputSpec& input) { input.set_shape(0, INT64_MAX); }, "has the shape");
  refused([](v1::InputSpec& input) { input.add_shape(0); }, "has the shape");
}

TEST(RunSpecConversion, EveryFieldIsReadBack) {
  for (const RunSpec& spec : {FullSpec(), FullSpecOfFiles()}) {
    ASSERT_OK_AND_ASSIGN(const RunSpec read, FromProto(ToProto(spec)));
    EXPECT_EQ(ValuesOf(read), ValuesOf(spec));
  }
}

TEST(RunSpecConversion, EveryFieldOfTheMessageIsFilled) {
  const std::set<std::string> unset = UnsetFields(ToProto(FullSpec()));
  for (const std::string& name : UnsetFields(ToProto(FullSpecOfFiles()))) {
    EXPECT_EQ(unset.count(name), 0) << name << " is filled by neither";
  }
}

TEST(RunSpecConversion, UnsetFieldsAreZeroNotTheYamlDefault) {
  v1::RunSpec proto = ToProto(FullSpec());
  proto.mutable_loss()->clear_temperature();
  EXPECT_THAT(FromProto(proto),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("loss.temperature")));
  EXPECT_THAT(FromProto(v1::RunSpec()), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(RunSpecConversion, AZeroThatStandsForOneIsOne) {
  v1::RunSpec proto = ToProto(FullSpec());
  proto.mutable_dataset()->set_sample_fraction(0);
  proto.mutable_scheduling()->set_priority(0);
  ASSERT_OK_AND_ASSIGN(const RunSpec spec, FromProto(proto));
  EXPECT_EQ(spec.dataset.sample_fraction, 1);
  EXPECT_EQ(spec.scheduling.priority, 1);
}

// A run of which a client says no more than it must.
v1::RunSpec Sparse() {
  v1::RunSpec proto;
  proto.mutable_student()->set_architecture("mlp:64-10");
  proto.mutable_training()->set_local_epochs(1);
  return proto;
}

TEST(SubmittedRunSpec, WhatIsNotSetHasTheDefaultOfTheYamlFile) {
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.local_epochs = 1;
  ASSERT_OK_AND_ASSIGN(const RunSpec submitted, SubmittedSpec(Sparse()));
  EXPECT_EQ(ValuesOf(submitted), ValuesOf(spec));
  // Said in full it is the same run.
  ASSERT_OK_AND_ASSIGN(const RunSpec full, SubmittedSpec(ToProto(spec)));
  EXPECT_EQ(ValuesOf(full), ValuesOf(spec));
}

TEST(SubmittedRunSpec, EveryFieldIsReadAsItIsSaid) {
  for (const RunSpec& spec : {FullSpec(), FullSpecOfFiles()}) {
    ASSERT_OK_AND_ASSIGN(const RunSpec read, SubmittedSpec(ToProto(spec)));
    EXPECT_EQ(ValuesOf(read), ValuesOf(spec));
  }
}

TEST(SubmittedRunSpec, AZeroThatIsSaidIsRefusedWhereNoneIsValid) {
  v1::RunSpec proto = Sparse();
  proto.mutable_loss()->set_temperature(0);
  EXPECT_THAT(SubmittedSpec(proto),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("loss.temperature")));
  proto = Sparse();
  proto.mutable_training()->set_rounds(0);
  EXPECT_THAT(SubmittedSpec(proto),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("training.rounds")));
}

TEST(SubmittedRunSpec, AZeroThatIsSaidIsAZero) {
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.local_epochs = 1;
  spec.seed = 0;
  spec.loss.alpha = 0;
  spec.training.momentum = 0;
  spec.evaluation.every_rounds = 0;
  spec.scheduling.backup_after = 0;
  ASSERT_OK_AND_ASSIGN(const RunSpec submitted, SubmittedSpec(ToProto(spec)));
  EXPECT_EQ(ValuesOf(submitted), ValuesOf(spec));
}

// Sets one number of a RunSpec to 0, by its path.
class Zeroer {
 public:
  explicit Zeroer(std::string path) : path_(std::move(path)) {}
  void Field(const std::string& name, int64_t& value) { Zero(name, &value); }
  void Field(const std::string& name, double& value) { Zero(name, &value); }
  template <typename Other>
  void Field(const std::string& /*name*/, Other& /*value*/) {}
  template <typename Body>
  void Group(const std::string& name, Body body) {
    prefix_ = name + ".";
    body();
    prefix_.clear();
  }
  // It had another default.
  bool done() const { return done_; }

 private:
  template <typename Number>
  void Zero(const std::string& name, Number* value) {
    if (prefix_ + name != path_) return;
    done_ = *value != 0;
    *value = 0;
  }
  std::string path_;
  std::string prefix_;
  bool done_ = false;
};

// A field that may be zero and has another default must say whether it is set.
TEST(SubmittedRunSpec, NoValidZeroIsTakenForADefault) {
  RunSpec base;
  base.student.architecture = "mlp:64-10";
  base.training.local_epochs = 1;
  std::set<std::string> zeroed;
  for (const std::string& field : ValuesOf(base)) {
    const std::string path = field.substr(0, field.find('='));
    RunSpec spec = base;
    Zeroer zeroer(path);
    VisitRunSpec(zeroer, spec);
    // These two stand for 1 where they are 0.
    if (!zeroer.done() || !ValidateRunSpec(spec).ok() || path == "dataset.sample_fraction" ||
        path == "scheduling.priority") {
      continue;
    }
    zeroed.insert(path);
    ASSERT_OK_AND_ASSIGN(const RunSpec submitted, SubmittedSpec(ToProto(spec)));
    EXPECT_EQ(ValuesOf(submitted), ValuesOf(spec)) << path;
  }
  EXPECT_EQ(zeroed, std::set<std::string>({"seed", "loss.alpha", "training.momentum",
                                           "evaluation.every_rounds", "scheduling.backup_after"}));
}

TEST(RunSpecConversion, Fault56_APathThatIsNoUtf8DoesNotSpoilTheMessage) {
  RunSpec spec = FullSpec();
  spec.teacher.model = "/tmp/d\xff/teacher.pt";
  v1::RunSpec read;
  ASSERT_TRUE(read.ParseFromString(ToProto(spec).SerializeAsString()));
  EXPECT_EQ(read.teacher().model(), "/tmp/d\\xff/teacher.pt");
  EXPECT_EQ(RunSpecToJson(spec).find('\xff'), std::string::npos);
}

TEST(LeaseConversion, GoesThereAndBack) {
  const Lease lease{{"run-1", TaskKind::kEvaluate, 7, 3}, 41, "worker-1"};
  ASSERT_OK_AND_ASSIGN(const Lease back, FromProto(ToProto(lease)));
  EXPECT_EQ(back.task, lease.task);
  EXPECT_EQ(back.fencing_token, 41);
  EXPECT_EQ(back.worker_id, "worker-1");
}

TEST(LeaseConversion, KindsAreThoseOfTheDomain) {
  EXPECT_EQ(static_cast<int>(TaskKind::kInitialise), v1::TASK_KIND_INITIALISE);
  EXPECT_EQ(static_cast<int>(TaskKind::kTrain), v1::TASK_KIND_TRAIN);
  EXPECT_EQ(static_cast<int>(TaskKind::kEvaluate), v1::TASK_KIND_EVALUATE);
}

TEST(LeaseConversion, RefusesUnknownKindsAndIdsThatAreNoNames) {
  const v1::TaskLease good = ToProto(Lease{{"run-1", TaskKind::kTrain, 7, 3}, 41, "worker-1"});
  const auto refused = [](const char* field) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(field));
  };
  v1::TaskLease bad = good;
  bad.clear_kind();
  EXPECT_THAT(FromProto(bad), refused("lease.kind"));
  bad.set_kind(static_cast<v1::TaskKind>(99));
  EXPECT_THAT(FromProto(bad), refused("lease.kind"));
  bad = good;
  bad.set_run_id("../run");
  EXPECT_THAT(FromProto(bad), refused("lease.run_id"));
  bad = good;
  bad.clear_worker_id();
  EXPECT_THAT(FromProto(bad), refused("lease.worker_id"));
}

// Of one class for a sample, each figure another.
EvaluationMetrics OfOneClass() {
  EvaluationMetrics metrics;
  int64_t next = 1;
  VisitEvaluationMetrics([&](const char* /*name*/, auto figure) {
    metrics.*figure = static_cast<std::remove_reference_t<decltype(metrics.*figure)>>(next++);
  });
  metrics.samples_per_class = {10, 0};
  metrics.correct_per_class = {9, 0};
  metrics.confusion_matrix = {9, 1, 0, 0};
  return metrics;
}

TEST(MetricsConversion, GoesThereAndBack) {
  const v1::TrainMetrics train = ToProto(TrainMetrics{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  EXPECT_THAT(UnsetFields(train), ElementsAre());
  EXPECT_EQ(ToProto(FromProto(train)).SerializeAsString(), train.SerializeAsString());
  EvaluationMetrics metrics = OfOneClass();
  metrics.calibration_bins = {{10, 9, 9.5}};
  // No evaluation has all kinds of answers; of each kind one figure says that it is there.
  int64_t next = 1;
  VisitOfKinds([&](const char* /*name*/, auto figure, auto /*count*/) {
    metrics.*figure = static_cast<std::remove_reference_t<decltype(metrics.*figure)>>(next++);
  });
  metrics.f1_per_label = {0.5};
  metrics.average_precision_per_label = {0.25};
  metrics.mean_squared_error_per_value = {0.125};
  metrics.r2_per_value = {-1};
  v1::EvaluationMetrics evaluation = ToProto(metrics);
  EXPECT_THAT(UnsetFields(evaluation), ElementsAre("distillery.v1.EvaluationMetrics.perplexity"));
  EXPECT_EQ(ToProto(FromProto(evaluation)).SerializeAsString(), evaluation.SerializeAsString());
  EXPECT_FALSE(ToProtoWithoutDetails(metrics).has_details());
}

TEST(MetricsConversion, ThePerplexityIsOfTokensAlone) {
  EvaluationMetrics metrics;
  metrics.cross_entropy = std::log(8.0);
  EXPECT_FALSE(ToProto(metrics).has_perplexity());
  metrics.position_count = 5;
  EXPECT_NEAR(ToProto(metrics).perplexity(), 8, 1e-12);
  metrics.value_count = 1;
  EXPECT_FALSE(ToProto(metrics).has_perplexity());
}

// What a run of one class for each sample sends is what it was: the bytes, and the names in JSON.
TEST(MetricsConversion, OneClassForASampleHasNoFieldOfOtherKinds) {
  const EvaluationMetrics metrics = OfOneClass();
  const v1::EvaluationMetrics evaluation = ToProto(metrics);
  const auto& reflection = *evaluation.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> set;
  reflection.ListFields(evaluation, &set);
  for (const auto* const field : set) EXPECT_LE(field->number(), 11) << field->full_name();
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(evaluation, &json, options).ok());
  const auto& descriptor = *evaluation.GetDescriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const bool there = json.find("\"" + descriptor.field(i)->name() + "\"") != std::string::npos;
    EXPECT_EQ(there, descriptor.field(i)->number() <= 11) << descriptor.field(i)->name();
  }
  for (const char* const group : {"\"labels\"", "\"values\""}) {
    EXPECT_EQ(json.find(group), std::string::npos) << group;
  }
}

}  // namespace
}  // namespace distillery
