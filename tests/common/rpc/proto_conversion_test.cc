#include "common/rpc/proto_conversion.h"

#include <google/protobuf/descriptor.h>

#include <set>
#include <string>

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

TEST(MetricsConversion, GoesThereAndBack) {
  const v1::TrainMetrics train = ToProto(TrainMetrics{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  EXPECT_THAT(UnsetFields(train), ElementsAre());
  EXPECT_EQ(ToProto(FromProto(train)).SerializeAsString(), train.SerializeAsString());
  EvaluationMetrics metrics{10, 9,    0.5,     -1,     10,           0.25, 20,
                            15, 0.75, {10, 0}, {9, 0}, {9, 1, 0, 0}, {}};
  metrics.calibration_bins = {{10, 9, 9.5}};
  const v1::EvaluationMetrics evaluation = ToProto(metrics);
  EXPECT_THAT(UnsetFields(evaluation), ElementsAre());
  EXPECT_EQ(ToProto(FromProto(evaluation)).SerializeAsString(), evaluation.SerializeAsString());
  EXPECT_FALSE(ToProtoWithoutDetails(metrics).has_details());
}

}  // namespace
}  // namespace distillery
