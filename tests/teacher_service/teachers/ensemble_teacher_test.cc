#include "teacher_service/teachers/ensemble_teacher.h"

#include <cmath>
#include <limits>

#include "teacher_service/model_registry.h"
#include "teacher_service/teachers/finite_rows.h"
#include "tests/common/status_matchers.h"
#include "tests/teacher_service/teachers/fake_teacher.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// Answers the same logits for every row.
class ConstantTeacher : public Teacher {
 public:
  ConstantTeacher(const std::string& name, std::vector<float> logits) : logits_(std::move(logits)) {
    info_.model_name = name;
    info_.digest = "digest of " + name;
    info_.card.samples = SampleSpec::Pictures({1, 1, 1}, 255);
    info_.card.class_names.resize(logits_.size(), "c");
    info_.parameter_count = 5;
    info_.batch_rows = 8;
  }
  const TeacherInfo& info() const override { return info_; }
  TeacherInfo& mutable_info() { return info_; }
  absl::Status ComputeLogits(const InputColumns& /*inputs*/, int64_t rows, float* logits) override {
    for (int64_t r = 0; r < rows; ++r) {
      logits = std::copy(logits_.begin(), logits_.end(), logits);
    }
    return absl::OkStatus();
  }

 private:
  const std::vector<float> logits_;
  TeacherInfo info_;
};

std::vector<float> Ask(Teacher& teacher, int64_t rows) {
  const std::vector<float> inputs(static_cast<size_t>(rows));
  std::vector<float> logits(static_cast<size_t>(rows * teacher.info().card.class_count()));
  EXPECT_THAT(teacher.ComputeLogits(inputs.data(), rows, logits.data()), IsOk());
  return logits;
}

EnsembleOptions Options(EnsembleOptions::Mean mean) { return {mean, {{"a", 0.75}, {"b", 0.25}}}; }

TEST(EnsembleTeacher, MeanOfProbabilities) {
  // p_a = (3/4, 1/4), p_b = (1/4, 3/4): 0.75 p_a + 0.25 p_b = (10/16, 6/16).
  ASSERT_OK_AND_ASSIGN(
      const auto teacher,
      MakeEnsembleTeacher(
          "e", Options(EnsembleOptions::Mean::kProbabilities),
          {std::make_shared<ConstantTeacher>("a", std::vector<float>{std::log(3.0F), 0}),
           std::make_shared<ConstantTeacher>("b", std::vector<float>{0, std::log(3.0F)})}));
  const std::vector<float> logits = Ask(*teacher, 3);
  for (size_t r = 0; r < 3; ++r) {
    EXPECT_NEAR(std::exp(logits[2 * r]), 10.0 / 16, 1e-6);
    EXPECT_NEAR(std::exp(logits[2 * r + 1]), 6.0 / 16, 1e-6);
  }
}

// With answers of another kind.
std::shared_ptr<ConstantTeacher> OfKind(AnswerKind kind, const std::string& name,
                                        std::vector<float> logits) {
  auto teacher = std::make_shared<ConstantTeacher>(name, std::move(logits));
  teacher->mutable_info().card.samples.answer.kind = kind;
  return teacher;
}

TEST(EnsembleTeacher, LabelsHaveAMeanProbabilityEach) {
  // p_a = (3/4, 1/2), p_b = (1/4, 1/2): 0.75 p_a + 0.25 p_b = (10/16, 1/2); logits log(10/6) and 0.
  ASSERT_OK_AND_ASSIGN(
      const auto teacher,
      MakeEnsembleTeacher("e", Options(EnsembleOptions::Mean::kProbabilities),
                          {OfKind(AnswerKind::kMultilabel, "a", {std::log(3.0F), 0}),
                           OfKind(AnswerKind::kMultilabel, "b", {-std::log(3.0F), 0})}));
  const std::vector<float> logits = Ask(*teacher, 1);
  EXPECT_NEAR(logits[0], std::log(10.0 / 6), 1e-6);
  EXPECT_NEAR(logits[1], 0, 1e-6);
}

TEST(EnsembleTeacher, ValuesHaveTheirOwnMean) {
  ASSERT_OK_AND_ASSIGN(const auto teacher,
                       MakeEnsembleTeacher("e", Options(EnsembleOptions::Mean::kProbabilities),
                                           {OfKind(AnswerKind::kValues, "a", {4, 0}),
                                            OfKind(AnswerKind::kValues, "b", {8, -4})}));
  EXPECT_EQ(Ask(*teacher, 1), (std::vector<float>{5, -1}));
}

TEST(EnsembleTeacher, MeanOfLogits) {
  ASSERT_OK_AND_ASSIGN(
      const auto teacher,
      MakeEnsembleTeacher("e", Options(EnsembleOptions::Mean::kLogits),
                          {std::make_shared<ConstantTeacher>("a", std::vector<float>{4, 0}),
                           std::make_shared<ConstantTeacher>("b", std::vector<float>{8, -4})}));
  EXPECT_EQ(Ask(*teacher, 1), (std::vector<float>{0.75F * 4 + 0.25F * 8, -1}));
}

TEST(EnsembleTeacher, AProbabilityOfZeroStaysFinite) {
  ASSERT_OK_AND_ASSIGN(
      const auto teacher,
      MakeEnsembleTeacher(
          "e", Options(EnsembleOptions::Mean::kProbabilities),
          {std::make_shared<ConstantTeacher>("a", std::vector<float>{5000, -5000}),
           std::make_shared<ConstantTeacher>("b", std::vector<float>{5000, -5000})}));
  const std::vector<float> logits = Ask(*teacher, 1);
  EXPECT_EQ(logits[0], 0);
  EXPECT_TRUE(std::isfinite(logits[1]));
  EXPECT_LT(logits[1], -80);
}

TEST(EnsembleTeacher, DescribesItsMembersAndItsDigestIsTheirs) {
  const auto make = [](EnsembleOptions::Mean mean, const std::string& digest) {
    const auto a = std::make_shared<ConstantTeacher>("a", std::vector<float>{0, 0});
    a->mutable_info().digest = digest;
    return *MakeEnsembleTeacher(
        "e", Options(mean), {a, std::make_shared<ConstantTeacher>("b", std::vector<float>{0, 0})});
  };
  const auto teacher = make(EnsembleOptions::Mean::kLogits, "x");
  EXPECT_EQ(teacher->info().model_name, "e");
  EXPECT_EQ(teacher->info().parameter_count, 10);
  EXPECT_EQ(teacher->info().members.size(), 2U);
  EXPECT_EQ(make(EnsembleOptions::Mean::kLogits, "x")->info().digest, teacher->info().digest);
  EXPECT_NE(make(EnsembleOptions::Mean::kLogits, "y")->info().digest, teacher->info().digest);
  EXPECT_NE(make(EnsembleOptions::Mean::kProbabilities, "x")->info().digest,
            teacher->info().digest);
}

TEST(EnsembleTeacher, MembersThatDoNotFitTogetherAreRefused) {
  const auto a = std::make_shared<ConstantTeacher>("a", std::vector<float>{0, 0});
  const auto b = std::make_shared<ConstantTeacher>("b", std::vector<float>{0, 0, 0});
  EXPECT_THAT(
      MakeEnsembleTeacher("e", Options(EnsembleOptions::Mean::kLogits), {a, b}).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("a and b have different classes")));
}

TEST(ParseEnsembleMembers, ScalesWeightsToSumToOne) {
  ASSERT_OK_AND_ASSIGN(const auto members, ParseEnsembleMembers("a:3,b"));
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0].model_name, "a");
  EXPECT_EQ(members[0].weight, 0.75);
  EXPECT_EQ(members[1].weight, 0.25);
}

TEST(ParseEnsembleMembers, RefusesWhatIsNone) {
  for (const char* const text : {"", "a,", ":1", "a:0", "a:-1", "a:nan", "a:x", "a,a"}) {
    EXPECT_THAT(ParseEnsembleMembers(text).status(), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(ModelRegistry, TheFirstIsTheDefaultAndUnknownNamesGetTheNearest) {
  ModelRegistry registry;
  ASSERT_THAT(registry.Declare("large"), IsOk());
  ASSERT_THAT(registry.Declare("small"), IsOk());
  EXPECT_THAT(registry.Find("").status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("loading model large")));
  ASSERT_THAT(
      registry.Set("large", std::make_shared<ConstantTeacher>("large", std::vector<float>{0})),
      IsOk());
  ASSERT_OK_AND_ASSIGN(const auto first, registry.Find(""));
  EXPECT_EQ(first->info().model_name, "large");
  EXPECT_FALSE(registry.Ready());
  EXPECT_THAT(registry.Find("smal").status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"small\"?")));
  EXPECT_THAT(registry.Find("../etc/passwd").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("model_name")));
  EXPECT_THAT(registry.Declare("large"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(registry.Declare("a/b"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ModelRegistry, AnEnsembleIsThereOnceItsMembersAreAndFollowsThem) {
  ModelRegistry registry;
  ASSERT_THAT(registry.Declare("a"), IsOk());
  ASSERT_THAT(registry.Declare("b"), IsOk());
  ASSERT_THAT(registry.DeclareEnsemble("e", Options(EnsembleOptions::Mean::kLogits)), IsOk());
  const auto teacher = [](const std::string& name, float logit) {
    auto made = std::make_shared<ConstantTeacher>(name, std::vector<float>{logit, 0});
    made->mutable_info().digest = name + std::to_string(logit);
    return made;
  };
  ASSERT_THAT(registry.Set("a", teacher("a", 4)), IsOk());
  EXPECT_THAT(registry.Find("e").status(), StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_THAT(registry.Set("b", teacher("b", 8)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto before, registry.Find("e"));
  EXPECT_EQ(Ask(*before, 1)[0], 5);
  ASSERT_THAT(registry.Set("a", teacher("a", 8)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto after, registry.Find("e"));
  EXPECT_EQ(Ask(*after, 1)[0], 8);
  EXPECT_NE(after->info().digest, before->info().digest);
  EXPECT_EQ(Ask(*before, 1)[0], 5) << "who holds the old one keeps it";
  // A model that does not fit changes nothing.
  EXPECT_THAT(
      registry.Set("a", std::make_shared<ConstantTeacher>("a", std::vector<float>{0, 0, 0})),
      StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(*registry.Find("e"), after);
  EXPECT_THAT(registry.DeclareEnsemble("f", {EnsembleOptions::Mean::kLogits, {{"c", 1}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown model")));
}

TEST(EnsembleTeacher, Fault52_ARowThatAMemberDoesNotAnswerIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const EnsembleOptions::Mean mean :
       {EnsembleOptions::Mean::kProbabilities, EnsembleOptions::Mean::kLogits}) {
    // -infinity is a probability of 0, and yet no answer.
    for (const float bad : {std::nanf(""), infinity, -infinity}) {
      ASSERT_OK_AND_ASSIGN(
          const auto teacher,
          MakeEnsembleTeacher(
              "e", Options(mean),
              {std::make_shared<ConstantTeacher>("a", std::vector<float>{1, 2}),
               std::make_shared<ConstantTeacher>("b", std::vector<float>{bad, 1})}));
      EXPECT_THAT(CheckFiniteRows(teacher->info(), Ask(*teacher, 1).data(), 1),
                  StatusIs(absl::StatusCode::kInternal, HasSubstr("model e answered with")));
    }
  }
}

}  // namespace
}  // namespace distillery
