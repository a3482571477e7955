// ModelInfer: answers.
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/base/half.h"
#include "tests/teacher_service/rpc/inference_server.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;

class InferenceAnswers : public ::testing::Test {
 protected:
  InferenceAnswers() {
    server_.Load("first");
    server_.Load("second");
  }
  inference::ModelInferResponse Infer(const inference::ModelInferRequest& request) {
    inference::ModelInferResponse response;
    EXPECT_THAT(server_.Infer(request, &response), IsOk());
    return response;
  }
  InferenceServer server_;
};

// What the fake computes for row r of PicturePixels: the sum of the pixels is r + 1.
double Logit(int64_t rows, int64_t r, int64_t c) {
  return static_cast<double>(r + 1) * static_cast<double>(c + 1) / 10 - static_cast<double>(c) +
         static_cast<double>(256 * rows + r) / 65536;
}

std::vector<std::string> Names(const inference::ModelInferResponse& response) {
  std::vector<std::string> names;
  for (const auto& output : response.outputs()) names.push_back(output.name());
  return names;
}

TEST_F(InferenceAnswers, RawInputsGetTheRawLogitsOfEachRow) {
  inference::ModelInferRequest request = RawRequest(3);
  request.set_id("a name of the caller's");
  request.set_model_version("1");
  const inference::ModelInferResponse response = Infer(request);
  EXPECT_EQ(response.model_name(), "first");
  EXPECT_EQ(response.model_version(), "1");
  EXPECT_EQ(response.id(), "a name of the caller's");
  EXPECT_EQ(response.parameters().at("teacher_digest").string_param(), "first-digest");
  ASSERT_THAT(Names(response), ElementsAre("soft_targets"));
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(3, 10));
  EXPECT_FALSE(response.outputs(0).has_contents());
  const std::vector<float> logits = RawOutput(response, "soft_targets");
  ASSERT_EQ(logits.size(), 30U);
  for (int64_t i = 0; i < 30; ++i) EXPECT_NEAR(logits[i], Logit(3, i / 10, i % 10), 1e-5);
}

TEST_F(InferenceAnswers, TypedAnswersEqualRawOnesBitForBit) {
  for (const bool probabilities : {false, true}) {
    inference::ModelInferRequest raw = RawRequest(5);
    inference::ModelInferRequest typed = TypedRequest(5);
    for (inference::ModelInferRequest* const request : {&raw, &typed}) {
      Parameter(*request, "temperature").set_double_param(3);
      Parameter(*request, "top_k").set_int64_param(4);
      if (!probabilities) continue;
      Parameter(*request, "representation").set_string_param("probabilities");
    }
    const inference::ModelInferResponse expected = Infer(raw);
    const inference::ModelInferResponse got = Infer(typed);
    EXPECT_EQ(got.raw_output_contents_size(), 0);
    ASSERT_THAT(Names(got), ElementsAre("soft_targets", "classes", "probabilities", "tail_mass"));
    ASSERT_EQ(Names(got), Names(expected));
    for (int i = 0; i < got.outputs_size(); ++i) {
      const inference::InferTensorContents& contents = got.outputs(i).contents();
      const bool whole = got.outputs(i).name() == "classes";
      EXPECT_EQ(got.outputs(i).datatype(), whole ? "INT32" : "FP32");
      const std::string bytes(whole
                                  ? reinterpret_cast<const char*>(contents.int_contents().data())
                                  : reinterpret_cast<const char*>(contents.fp32_contents().data()),
                              4U * static_cast<size_t>(whole ? contents.int_contents_size()
                                                             : contents.fp32_contents_size()));
      EXPECT_EQ(bytes, expected.raw_output_contents(i)) << got.outputs(i).name();
    }
  }
}

TEST_F(InferenceAnswers, TemperatureMayBeADoubleAWholeNumberOrAText) {
  const std::vector<float> raw = RawOutput(Infer(RawRequest()), "soft_targets");
  for (const int kind : {0, 1, 2, 3, 4}) {
    inference::ModelInferRequest request = RawRequest();
    inference::InferParameter& temperature = Parameter(request, "temperature");
    if (kind == 0) temperature.set_double_param(4);
    if (kind == 1) temperature.set_int64_param(4);
    if (kind == 2) temperature.set_uint64_param(4);
    if (kind == 3) temperature.set_string_param("4");
    if (kind == 4) temperature.set_string_param("4.0e0");
    const std::vector<float> got = RawOutput(Infer(request), "soft_targets");
    ASSERT_EQ(got.size(), raw.size());
    for (size_t i = 0; i < raw.size(); ++i) EXPECT_EQ(got[i], raw[i] / 4) << kind;
  }
}

TEST_F(InferenceAnswers, ProbabilitiesAreTheSoftmaxAtTheTemperature) {
  inference::ModelInferRequest request = RawRequest();
  Parameter(request, "temperature").set_string_param("2.5");
  Parameter(request, "representation").set_string_param("probabilities");
  const std::vector<float> got = RawOutput(Infer(request), "soft_targets");
  ASSERT_EQ(got.size(), 20U);
  for (int64_t r = 0; r < 2; ++r) {
    double sum = 0;
    for (int64_t c = 0; c < 10; ++c) sum += std::exp(Logit(2, r, c) / 2.5);
    for (int64_t c = 0; c < 10; ++c) {
      EXPECT_NEAR(got[r * 10 + c], std::exp(Logit(2, r, c) / 2.5) / sum, 1e-6);
    }
  }
}

TEST_F(InferenceAnswers, TopKGivesTheLargestClassesTheirProbabilitiesAndTheRest) {
  inference::ModelInferRequest request = RawRequest(12);
  Parameter(request, "temperature").set_int64_param(2);
  Parameter(request, "top_k").set_string_param("3");
  const inference::ModelInferResponse response = Infer(request);
  ASSERT_THAT(Names(response),
              ElementsAre("soft_targets", "classes", "probabilities", "tail_mass"));
  EXPECT_THAT(response.outputs(1).shape(), ElementsAre(12, 3));
  EXPECT_THAT(response.outputs(2).shape(), ElementsAre(12, 3));
  EXPECT_THAT(response.outputs(3).shape(), ElementsAre(12));
  const std::vector<int32_t> classes = RawOutput<int32_t>(response, "classes");
  const std::vector<float> probabilities = RawOutput(response, "probabilities");
  const std::vector<float> tail = RawOutput(response, "tail_mass");
  ASSERT_EQ(classes.size(), 36U);
  ASSERT_EQ(probabilities.size(), 36U);
  ASSERT_EQ(tail.size(), 12U);
  for (int64_t r = 0; r < 12; ++r) {
    double sum = 0;
    for (int64_t c = 0; c < 10; ++c) sum += std::exp(Logit(12, r, c) / 2);
    double top = 0;
    for (int64_t i = 0; i < 3; ++i) {
      // Logits change by (r + 1)/10 - 1 from class to class: they fall up to row 8 and rise from
      // row 10 on. In row 9 they differ by rounding alone.
      if (r != 9) {
        EXPECT_EQ(classes[r * 3 + i], r < 9 ? i : 9 - i) << r;
      }
      const double probability = std::exp(Logit(12, r, classes[r * 3 + i]) / 2) / sum;
      EXPECT_NEAR(probabilities[r * 3 + i], probability, 1e-6);
      top += probability;
    }
    EXPECT_NEAR(tail[r], 1 - top, 1e-6);
  }
}

// "VALUE:CLASS:NAME" taken apart.
struct Classification {
  float value = 0;
  int64_t index = 0;
  std::string name;
};

Classification ParseClassification(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  Classification found;
  EXPECT_EQ(parts.size(), 3U) << text;
  EXPECT_TRUE(absl::SimpleAtof(parts.at(0), &found.value)) << text;
  EXPECT_TRUE(absl::SimpleAtoi(parts.at(1), &found.index)) << text;
  found.name = parts.at(2);
  return found;
}

TEST_F(InferenceAnswers, AClassificationGivesTheLargestAsTextToTheLastBit) {
  for (const bool probabilities : {false, true}) {
    for (const auto& [asked, count] : std::vector<std::pair<int64_t, int64_t>>{{3, 3}, {999, 10}}) {
      inference::ModelInferRequest raw = RawRequest(5);
      inference::ModelInferRequest typed = TypedRequest(5);
      std::vector<float> values;
      for (inference::ModelInferRequest* const request : {&raw, &typed}) {
        Parameter(*request, "temperature").set_int64_param(2);
        if (probabilities) {
          Parameter(*request, "representation").set_string_param("probabilities");
        }
        if (request == &raw) values = RawOutput(Infer(raw), "soft_targets");
        auto* const output = request->add_outputs();
        output->set_name("soft_targets");
        (*output->mutable_parameters())["classification"].set_int64_param(asked);
      }
      const inference::ModelInferResponse response = Infer(typed);
      ASSERT_EQ(response.outputs_size(), 1);
      EXPECT_EQ(response.outputs(0).datatype(), "BYTES");
      EXPECT_THAT(response.outputs(0).shape(), ElementsAre(5, count));
      const auto& texts = response.outputs(0).contents().bytes_contents();
      ASSERT_EQ(texts.size(), 5 * count);
      std::string bytes;
      for (int64_t i = 0; i < 5 * count; ++i) {
        const std::string& text = texts[static_cast<int>(i)];
        const Classification found = ParseClassification(text);
        // Logits fall from class to class in these rows.
        EXPECT_EQ(found.index, i % count);
        EXPECT_EQ(found.name, std::to_string(found.index));
        EXPECT_EQ(found.value, values[static_cast<size_t>(i / count * 10 + found.index)]);
        const auto size = static_cast<uint32_t>(text.size());
        bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
        bytes += text;
      }
      const inference::ModelInferResponse of_raw = Infer(raw);
      EXPECT_EQ(of_raw.outputs(0).datatype(), "BYTES");
      EXPECT_EQ(of_raw.raw_output_contents(0), bytes);
    }
  }
}

TEST_F(InferenceAnswers, AClassificationGoesWithTheOutputsOfTopK) {
  inference::ModelInferRequest request = RawRequest(2);
  Parameter(request, "top_k").set_int64_param(2);
  request.add_outputs()->set_name("classes");
  auto* const output = request.add_outputs();
  output->set_name("soft_targets");
  (*output->mutable_parameters())["classification"].set_string_param("1");
  const inference::ModelInferResponse response = Infer(request);
  ASSERT_THAT(Names(response), ElementsAre("classes", "soft_targets"));
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(2, 2));
  EXPECT_THAT(response.outputs(1).shape(), ElementsAre(2, 1));
  EXPECT_EQ(RawOutput<int32_t>(response, "classes")[0], 0);
}

TEST(InferenceTopK, OfEqualClassesTheLowerOneComesFirst) {
  InferenceServer server;
  server.Load("first", nullptr, /*classes=*/20);  // classes c and c + 10 are equal
  inference::ModelInferRequest request = RawRequest(1);
  Parameter(request, "top_k").set_int64_param(4);
  inference::ModelInferResponse response;
  ASSERT_THAT(server.Infer(request, &response), IsOk());
  EXPECT_THAT(RawOutput<int32_t>(response, "classes"), ElementsAre(0, 10, 1, 11));
}

TEST_F(InferenceAnswers, AsManyClassesAsThereAreLeaveNoTail) {
  inference::ModelInferRequest request = RawRequest(1);
  Parameter(request, "top_k").set_uint64_param(10);
  EXPECT_THAT(RawOutput(Infer(request), "tail_mass"), ElementsAre(0));
}

TEST_F(InferenceAnswers, OutputsThatAreNamedComeAloneAndInThatOrder) {
  inference::ModelInferRequest request = RawRequest();
  request.add_outputs()->set_name("soft_targets");
  EXPECT_THAT(Names(Infer(request)), ElementsAre("soft_targets"));
  Parameter(request, "top_k").set_int64_param(2);
  EXPECT_THAT(Names(Infer(request)), ElementsAre("soft_targets"));
  request.clear_outputs();
  request.add_outputs()->set_name("tail_mass");
  request.add_outputs()->set_name("classes");
  const inference::ModelInferResponse response = Infer(request);
  EXPECT_THAT(Names(response), ElementsAre("tail_mass", "classes"));
  EXPECT_EQ(RawOutput(response, "tail_mass").size(), 2U);
  EXPECT_EQ(RawOutput<int32_t>(response, "classes").size(), 4U);
}

// Pixels n/64 are exact in each of them.
TEST_F(InferenceAnswers, InputsMayComeInOtherTypes) {
  const std::vector<float> pixels = PicturePixels(2);
  const std::vector<float> expected = RawOutput(Infer(RawRequest()), "soft_targets");
  inference::ModelInferRequest request = InferenceRequestFor(2, "FP64");
  const std::vector<double> doubles(pixels.begin(), pixels.end());
  request.add_raw_input_contents(doubles.data(), doubles.size() * sizeof(double));
  EXPECT_EQ(RawOutput(Infer(request), "soft_targets"), expected);

  request = InferenceRequestFor(2, "FP16");
  std::string halves(pixels.size() * 2, '\0');
  FloatsToHalves(pixels.data(), static_cast<int64_t>(pixels.size()), halves.data());
  request.add_raw_input_contents(halves);
  EXPECT_EQ(RawOutput(Infer(request), "soft_targets"), expected);

  request = InferenceRequestFor(2, "FP64");
  for (const float pixel : pixels) {
    request.mutable_inputs(0)->mutable_contents()->add_fp64_contents(pixel);
  }
  const inference::ModelInferResponse typed = Infer(request);
  ASSERT_EQ(typed.outputs_size(), 1);
  const auto& contents = typed.outputs(0).contents().fp32_contents();
  EXPECT_EQ(std::vector<float>(contents.begin(), contents.end()), expected);
}

TEST_F(InferenceAnswers, BytesAreScaledToOne) {
  inference::ModelInferRequest expected = InferenceRequestFor(1, "FP32");
  const std::vector<float> fifths(kFakePixels, 0.2F);
  expected.add_raw_input_contents(fifths.data(), fifths.size() * sizeof(float));
  const std::vector<float> logits = RawOutput(Infer(expected), "soft_targets");
  inference::ModelInferRequest request = InferenceRequestFor(1, "UINT8");
  request.add_raw_input_contents(std::string(kFakePixels, 51));  // 51/255 = 1/5
  EXPECT_EQ(RawOutput(Infer(request), "soft_targets"), logits);
  request = InferenceRequestFor(1, "UINT8");
  for (int64_t i = 0; i < kFakePixels; ++i) {
    request.mutable_inputs(0)->mutable_contents()->add_uint_contents(51);
  }
  const inference::ModelInferResponse typed = Infer(request);
  ASSERT_EQ(typed.outputs_size(), 1);
  EXPECT_EQ(typed.outputs(0).contents().fp32_contents(0), logits[0]);
}

TEST_F(InferenceAnswers, ModelsAndEnsemblesAnswerUnderTheirNames) {
  inference::ModelInferRequest request = RawRequest();
  for (const char* const name : {"second", "both", "first"}) {
    request.set_model_name(name);
    EXPECT_EQ(Infer(request).model_name(), name);
  }
  request.clear_model_name();
  EXPECT_EQ(Infer(request).model_name(), "first");
}

TEST_F(InferenceAnswers, WhatClientLibrariesSendUnaskedChangesNothing) {
  const std::vector<float> expected = RawOutput(Infer(RawRequest()), "soft_targets");
  inference::ModelInferRequest request = RawRequest();
  Parameter(request, "triton_enable_empty_final_response").set_bool_param(false);
  Parameter(request, "sequence_id").set_int64_param(7);
  Parameter(request, "sequence_start").set_bool_param(true);
  Parameter(request, "sequence_end").set_bool_param(true);
  Parameter(request, "priority").set_uint64_param(1);
  Parameter(request, "timeout").set_int64_param(0);
  EXPECT_EQ(RawOutput(Infer(request), "soft_targets"), expected);
}

}  // namespace
}  // namespace distillery
