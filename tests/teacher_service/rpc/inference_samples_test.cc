// The Open Inference Protocol with two inputs, whole numbers and an answer for each token.
#include <cmath>

#include "tests/teacher_service/rpc/inference_server.h"
#include "tests/teacher_service/teachers/tag_teacher.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using TagRequestMessage = inference::ModelInferRequest;

class InferenceSamples : public ::testing::Test {
 protected:
  InferenceSamples() {
    EXPECT_THAT(server_.host().models().Set(
                    "first", std::make_shared<TagTeacher>(AnswerKind::kClasses, "first")),
                IsOk());
  }
  void ExpectInvalid(const TagRequestMessage& request, const std::string& text) {
    inference::ModelInferResponse response;
    EXPECT_THAT(server_.Infer(request, &response),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  }
  InferenceServer server_;
};

// Two rows; the inputs in another order than the card's.
TagRequestMessage TagInference(const std::string& tokens = "INT64") {
  TagRequestMessage request;
  request.set_model_name("first");
  auto* input = request.add_inputs();
  input->set_name("scale");
  input->set_datatype("FP32");
  input->add_shape(2);
  input = request.add_inputs();
  input->set_name("tokens");
  input->set_datatype(tokens);
  for (const int64_t size : {int64_t{2}, kTagLength}) input->add_shape(size);
  return request;
}

constexpr int64_t kTags[] = {0, 1, 2, 3, 9, 8, 7, 30};
constexpr float kScales[] = {0.5F, 2};

TagRequestMessage RawTags() {
  TagRequestMessage request = TagInference();
  request.add_raw_input_contents(kScales, sizeof(kScales));
  request.add_raw_input_contents(kTags, sizeof(kTags));
  return request;
}

TagRequestMessage TypedTags() {
  TagRequestMessage request = TagInference();
  for (const float scale : kScales) {
    request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(scale);
  }
  for (const int64_t tag : kTags) {
    request.mutable_inputs(1)->mutable_contents()->add_int64_contents(tag);
  }
  return request;
}

TEST_F(InferenceSamples, TwoInputsByNameAreAnsweredForEachPosition) {
  inference::ModelInferResponse response;
  ASSERT_THAT(server_.Infer(RawTags(), &response), IsOk());
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(2, kTagLength, kTagClasses));
  const std::vector<float> raw = RawOutput(response, "soft_targets");
  EXPECT_EQ(raw[(1 * 4 + 2) * 5 + 3], TagTeacher::Logit(7, 2, 3));
  inference::ModelInferResponse typed;
  ASSERT_THAT(server_.Infer(TypedTags(), &typed), IsOk());
  EXPECT_THAT(typed.outputs(0).contents().fp32_contents(), ::testing::ElementsAreArray(raw));
}

TEST_F(InferenceSamples, NarrowWholeNumbersAreTheSameTokens) {
  inference::ModelInferResponse expected;
  ASSERT_THAT(server_.Infer(TypedTags(), &expected), IsOk());
  for (const char* const datatype : {"INT32", "UINT8"}) {
    TagRequestMessage request = TypedTags();
    auto* const input = request.mutable_inputs(1);
    input->set_datatype(datatype);
    input->clear_contents();
    for (const int64_t tag : kTags) {
      if (input->datatype() == "INT32") {
        input->mutable_contents()->add_int_contents(static_cast<int32_t>(tag));
      } else {
        input->mutable_contents()->add_uint_contents(static_cast<uint32_t>(tag));
      }
    }
    inference::ModelInferResponse response;
    ASSERT_THAT(server_.Infer(request, &response), IsOk()) << datatype;
    EXPECT_EQ(response.SerializeAsString(), expected.SerializeAsString()) << datatype;
  }
}

TEST_F(InferenceSamples, TopKIsThatOfEachPosition) {
  TagRequestMessage request = RawTags();
  Parameter(request, "top_k").set_int64_param(2);
  inference::ModelInferResponse response;
  ASSERT_THAT(server_.Infer(request, &response), IsOk());
  ASSERT_EQ(response.outputs_size(), 4);
  EXPECT_THAT(response.outputs(1).shape(), ElementsAre(2, kTagLength, 2));
  EXPECT_THAT(response.outputs(3).shape(), ElementsAre(2, kTagLength));
  const auto classes = RawOutput<int32_t>(response, "classes");
  const auto probabilities = RawOutput(response, "probabilities");
  const auto tails = RawOutput(response, "tail_mass");
  ASSERT_EQ(tails.size(), 8U);
  for (size_t i = 0; i < tails.size(); ++i) {
    EXPECT_NE(classes[2 * i], classes[2 * i + 1]);
    EXPECT_NEAR(probabilities[2 * i] + probabilities[2 * i + 1] + tails[i], 1, 1e-6);
  }
}

TEST_F(InferenceSamples, ModelsSayWhatTheyTakeAndAnswer) {
  inference::ModelMetadataRequest about;
  about.set_name("first");
  inference::ModelMetadataResponse metadata;
  ASSERT_THAT(server_.Call(&InferenceStub::ModelMetadata, about, &metadata), IsOk());
  ASSERT_EQ(metadata.inputs_size(), 2);
  EXPECT_EQ(metadata.inputs(0).name(), "tokens");
  EXPECT_EQ(metadata.inputs(0).datatype(), "INT64");
  EXPECT_THAT(metadata.inputs(0).shape(), ElementsAre(-1, kTagLength));
  EXPECT_EQ(metadata.inputs(1).name(), "scale");
  EXPECT_EQ(metadata.inputs(1).datatype(), "FP32");
  EXPECT_THAT(metadata.inputs(1).shape(), ElementsAre(-1));
  EXPECT_THAT(metadata.outputs(0).shape(), ElementsAre(-1, kTagLength, kTagClasses));
  inference::ModelConfigRequest which;
  which.set_name("first");
  inference::ModelConfigResponse config;
  ASSERT_THAT(server_.Call(&InferenceStub::ModelConfig, which, &config), IsOk());
  EXPECT_EQ(config.config().input(0).data_type(), inference::TYPE_INT64);
  EXPECT_THAT(config.config().input(0).dims(), ElementsAre(kTagLength));
  EXPECT_THAT(config.config().output(0).dims(), ElementsAre(kTagLength, kTagClasses));
}

TEST_F(InferenceSamples, WrongInputsAreNamed) {
  TagRequestMessage request = TypedTags();
  request.mutable_inputs(1)->mutable_contents()->set_int64_contents(6, 32);
  ExpectInvalid(request, "tokens: the number at row 1, [2] is 32: tokens are 0 to 31");
  request = TypedTags();
  request.mutable_inputs(0)->mutable_contents()->set_fp32_contents(0, std::nanf(""));
  ExpectInvalid(request, "scale: the number at row 0 is nan: it must be finite");
  request = TypedTags();
  request.mutable_inputs(1)->set_datatype("FP32");
  ExpectInvalid(request, "inputs[1].datatype: unknown datatype \"FP32\"");
  request = RawTags();
  request.mutable_inputs(1)->set_shape(1, 5);
  ExpectInvalid(request, "inputs[1].shape must be [rows, 4], got [2, 5]");
  request = RawTags();
  request.mutable_raw_input_contents(1)->pop_back();
  ExpectInvalid(request,
                "raw_input_contents[1] has 63 bytes, inputs[1].shape and its datatype need 64");
  request = TypedTags();
  request.mutable_inputs(0)->set_shape(0, 1);
  request.mutable_inputs(0)->mutable_contents()->mutable_fp32_contents()->RemoveLast();
  ExpectInvalid(request, "inputs[0] has 1 rows, another input has 2");
  request = TypedTags();
  request.mutable_inputs()->RemoveLast();
  ExpectInvalid(request, "inputs: the input \"tokens\" is missing");
  request = TypedTags();
  Parameter(request, "pixel_max").set_double_param(255);
  ExpectInvalid(request, "pixel_max is for pictures");
}

}  // namespace
}  // namespace distillery
