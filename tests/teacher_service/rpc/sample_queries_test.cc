// ComputeSoftTargets of a model with two inputs and an answer for each token.
#include <cmath>
#include <thread>

#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/tag_teacher.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename Number>
void AddInput(const std::string& name, v1::DataType type, const std::vector<int64_t>& shape,
              const std::vector<Number>& numbers, v1::ComputeSoftTargetsRequest* request) {
  v1::NamedInput* const input = request->add_named_inputs();
  input->set_name(name);
  input->mutable_tensor()->set_data_type(type);
  for (const int64_t size : shape) input->mutable_tensor()->add_shape(size);
  input->mutable_tensor()->set_data(numbers.data(), numbers.size() * sizeof(Number));
}

// Two rows; in another order than the card's.
v1::ComputeSoftTargetsRequest TagRequest(const std::vector<int64_t>& tokens = {0, 1, 2, 3, 9, 8, 7,
                                                                               30}) {
  v1::ComputeSoftTargetsRequest request;
  request.set_temperature(1);
  AddInput<float>("scale", v1::DATA_TYPE_FLOAT32, {2}, {0.5F, 2}, &request);
  AddInput<int64_t>("tokens", v1::DATA_TYPE_INT64, {2, kTagLength}, tokens, &request);
  return request;
}

class SampleQueries : public ::testing::Test {
 protected:
  SampleQueries() { server_.SetTeacher(std::make_shared<TagTeacher>()); }
  void ExpectInvalid(const v1::ComputeSoftTargetsRequest& request, const std::string& text) {
    v1::ComputeSoftTargetsResponse response;
    EXPECT_THAT(server_.Compute(request, &response),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  }
  TeacherServer server_;
};

TEST_F(SampleQueries, NamedInputsComeInAnyOrderAndEachPositionIsAnswered) {
  v1::ComputeSoftTargetsResponse response;
  ASSERT_THAT(server_.Compute(TagRequest(), &response), IsOk());
  EXPECT_THAT(response.soft_targets().shape(), ElementsAre(2, kTagLength, kTagClasses));
  const std::vector<float> values = Floats(response.soft_targets().data());
  // Row 1, position 2, class 3.
  EXPECT_EQ(values[(1 * 4 + 2) * 5 + 3], TagTeacher::Logit(7, 2, 3));
  v1::ComputeSoftTargetsRequest top = TagRequest();
  top.set_encoding(v1::ENCODING_TOP_K);
  top.set_top_k(2);
  v1::ComputeSoftTargetsResponse largest;
  ASSERT_THAT(server_.Compute(top, &largest), IsOk());
  EXPECT_THAT(largest.soft_targets().shape(), ElementsAre(2, kTagLength, 2));
  EXPECT_THAT(largest.tail_mass().shape(), ElementsAre(2, kTagLength));
}

TEST_F(SampleQueries, TypesThatLoseNothingAreTheSameNumbers) {
  v1::ComputeSoftTargetsResponse expected;
  ASSERT_THAT(server_.Compute(TagRequest(), &expected), IsOk());
  v1::ComputeSoftTargetsRequest other;
  other.set_temperature(1);
  AddInput<int32_t>("tokens", v1::DATA_TYPE_INT32, {2, 4}, {0, 1, 2, 3, 9, 8, 7, 30}, &other);
  AddInput<uint16_t>("scale", v1::DATA_TYPE_BFLOAT16, {2}, {0x3F00, 0x4000}, &other);
  v1::ComputeSoftTargetsResponse got;
  ASSERT_THAT(server_.Compute(other, &got), IsOk());
  EXPECT_EQ(got.SerializeAsString(), expected.SerializeAsString());
}

TEST_F(SampleQueries, WrongInputsAreNamed) {
  ExpectInvalid(TagRequest({0, 1, 2, 3, 9, 8, 32, 30}),
                "tokens: the number at row 1, [2] is 32: tokens are 0 to 31");
  ExpectInvalid(TagRequest({-1, 1, 2, 3, 9, 8, 7, 30}), "row 0, [0] is -1");
  v1::ComputeSoftTargetsRequest request = TagRequest();
  const float numbers[] = {1, std::nanf("")};
  request.mutable_named_inputs(0)->mutable_tensor()->set_data(numbers, sizeof(numbers));
  ExpectInvalid(request, "scale: the number at row 1 is nan: it must be finite");
  request = TagRequest();
  request.mutable_named_inputs(1)->mutable_tensor()->set_data_type(v1::DATA_TYPE_FLOAT32);
  ExpectInvalid(request,
                "tokens.data_type must be DATA_TYPE_INT64, DATA_TYPE_INT32 or DATA_TYPE_UINT8, got "
                "DATA_TYPE_FLOAT32");
  request = TagRequest();
  request.mutable_named_inputs(1)->mutable_tensor()->set_shape(1, 5);
  ExpectInvalid(request, "tokens.shape must be [rows, 4], got [2, 5]");
  request = TagRequest();
  request.mutable_named_inputs(0)->mutable_tensor()->set_shape(0, 1);
  ExpectInvalid(request, "scale.data has 8 bytes, its shape needs 4");
  request.mutable_named_inputs(0)->mutable_tensor()->set_data(numbers, sizeof(float));
  ExpectInvalid(request, "scale has 1 rows, tokens has 2");
  request = TagRequest();
  request.mutable_named_inputs(0)->set_name("scales");
  ExpectInvalid(request, "named_inputs[0].name: unknown input \"scales\"; did you mean \"scale\"?");
  request = TagRequest();
  *request.add_named_inputs() = request.named_inputs(0);
  ExpectInvalid(request, "named_inputs[2].name: \"scale\" is given twice");
  request = TagRequest();
  request.mutable_named_inputs()->RemoveLast();
  ExpectInvalid(request, "the input \"tokens\" is missing");
  request.clear_named_inputs();
  *request.mutable_inputs() = TagRequest().named_inputs(1).tensor();
  ExpectInvalid(request, "the model takes 2, tokens, scale: send them as named_inputs");
  request = TagRequest();
  request.set_pixel_max(255);
  ExpectInvalid(request, "pixel_max is for pictures");
}

TEST_F(SampleQueries, AnAnswerThatIsNotFiniteIsNamedByItsPositionAndHarmsNobodyElse) {
  std::vector<std::thread> callers;
  std::vector<absl::Status> answers(8);
  for (size_t i = 0; i < answers.size(); ++i) {
    callers.emplace_back([&, i] {
      v1::ComputeSoftTargetsResponse response;
      answers[i] = server_.Compute(
          i % 2 == 0 ? TagRequest() : TagRequest({0, 1, 2, 3, 9, 31, 7, 30}), &response);
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t i = 0; i < answers.size(); ++i) {
    if (i % 2 == 0) {
      EXPECT_THAT(answers[i], IsOk());
    } else {
      EXPECT_THAT(answers[i], StatusIs(absl::StatusCode::kInternal,
                                       HasSubstr("nan for class 2 at [1] of row 1")));
    }
  }
}

TEST_F(SampleQueries, KindsRefuseWhatTheyDoNotHave) {
  TeacherServer labels;
  labels.SetTeacher(std::make_shared<TagTeacher>(AnswerKind::kMultilabel));
  v1::ComputeSoftTargetsRequest request = TagRequest();
  request.set_representation(v1::REPRESENTATION_PROBABILITIES);
  v1::ComputeSoftTargetsResponse response;
  ASSERT_THAT(labels.Compute(request, &response), IsOk());
  const double logit = TagTeacher::Logit(7, 2, 3);
  EXPECT_NEAR(Floats(response.soft_targets().data())[(1 * 4 + 2) * 5 + 3],
              1 / (1 + std::exp(-logit)), 1e-6);
  request.set_encoding(v1::ENCODING_TOP_K);
  request.set_top_k(2);
  EXPECT_THAT(labels.Compute(request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top_k is for classes")));
  TeacherServer values;
  values.SetTeacher(std::make_shared<TagTeacher>(AnswerKind::kValues));
  request = TagRequest();
  EXPECT_THAT(values.Compute(request, &response), IsOk());
  request.set_temperature(2);
  EXPECT_THAT(values.Compute(request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature must be 1")));
  request = TagRequest();
  request.set_representation(v1::REPRESENTATION_PROBABILITIES);
  EXPECT_THAT(values.Compute(request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("have no probabilities")));
}

}  // namespace
}  // namespace distillery
