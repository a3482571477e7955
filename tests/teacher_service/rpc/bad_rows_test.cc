// Rows that are bad: refused at the door, or failing those alone who sent them, whoever shares
// their batch and whatever interface they came by.
#include <cmath>
#include <limits>
#include <thread>

#include "common/base/half.h"
#include "tests/teacher_service/rpc/inference_server.h"
#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One picture of 0.25, but for its last pixel.
std::vector<float> PictureWith(float pixel) {
  std::vector<float> pixels(kFakePixels, 0.25F);
  pixels.back() = pixel;
  return pixels;
}

v1::ComputeSoftTargetsRequest ComputeOf(const std::vector<float>& pixels) {
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  request.set_temperature(1);
  request.mutable_inputs()->set_shape(0, static_cast<int64_t>(pixels.size()) / kFakePixels);
  request.mutable_inputs()->set_data(pixels.data(), pixels.size() * sizeof(float));
  return request;
}

v1::ComputeSoftTargetsRequest ComputeOfBytes(const std::vector<float>& pixels) {
  v1::ComputeSoftTargetsRequest request = ComputeOf(pixels);
  request.mutable_inputs()->set_data_type(v1::DATA_TYPE_UINT8);
  request.mutable_inputs()->set_data(std::string(pixels.begin(), pixels.end()));
  return request;
}

// --- at the door ---

class BadPixels : public ::testing::Test {
 protected:
  BadPixels() {
    server_.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe_));
    inference_.Load("first", &probe_);
    inference_.Load("second", &probe_);
  }
  absl::Status Compute(const v1::ComputeSoftTargetsRequest& request) {
    return server_.Compute(request, &answer_);
  }
  absl::Status Infer(const inference::ModelInferRequest& request) {
    return inference_.Infer(request, &inferred_);
  }
  // Refused by the pixel's place, and the teacher has not been asked.
  void ExpectRefused(const absl::Status& status, const std::string& text) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                 AllOf(HasSubstr("row 0, channel 0, y 7, x 7"), HasSubstr(text))));
    EXPECT_EQ(probe_.calls.load(), 0);
  }
  FakeTeacherProbe probe_;
  TeacherServer server_;
  InferenceServer inference_;
  v1::ComputeSoftTargetsResponse answer_;
  inference::ModelInferResponse inferred_;
};

// A picture in each form that the Open Inference Protocol has for its type.
std::vector<inference::ModelInferRequest> InferencesOf(const std::vector<float>& pixels,
                                                       const std::string& datatype) {
  inference::ModelInferRequest raw = InferenceRequestFor(1, datatype);
  inference::ModelInferRequest typed = raw;
  auto* const contents = typed.mutable_inputs(0)->mutable_contents();
  std::string bytes;
  const auto append = [&](auto element) {
    bytes.append(reinterpret_cast<const char*>(&element), sizeof(element));
  };
  for (const float pixel : pixels) {
    if (datatype == "FP32") {
      append(pixel);
      contents->add_fp32_contents(pixel);
    } else if (datatype == "FP64") {
      append(static_cast<double>(pixel));
      contents->add_fp64_contents(pixel);
    } else if (datatype == "FP16") {
      // FloatToHalf makes no infinity.
      append(std::isinf(pixel) ? static_cast<uint16_t>(pixel > 0 ? 0x7C00 : 0xFC00)
                               : FloatToHalf(pixel));
    } else {
      append(static_cast<uint8_t>(pixel));
      contents->add_uint_contents(static_cast<uint32_t>(pixel));
    }
  }
  raw.add_raw_input_contents(bytes);
  if (datatype == "FP16") return {raw};
  return {raw, typed};
}

TEST_F(BadPixels, Fault52_AreRefusedByEveryInterface) {
  for (const float bad : {std::nanf(""), kInfinity, -kInfinity, -0.5F, 1.5F, 255.0F}) {
    const std::string why = std::isfinite(bad) ? "must be 0 to 1" : "must be finite";
    ExpectRefused(Compute(ComputeOf(PictureWith(bad))), why);
    for (const char* const datatype : {"FP32", "FP64", "FP16"}) {
      for (const auto& request : InferencesOf(PictureWith(bad), datatype)) {
        ExpectRefused(Infer(request), why);
      }
    }
  }
  EXPECT_THAT(Compute(ComputeOf(PictureWith(1))), IsOk());
  EXPECT_THAT(Infer(InferencesOf(PictureWith(1), "FP16")[0]), IsOk());
}

TEST_F(BadPixels, Fault52_AreRefusedBeyondWhatStandsForOne) {
  v1::ComputeSoftTargetsRequest request = ComputeOfBytes(PictureWith(17));
  request.set_pixel_max(16);
  ExpectRefused(Compute(request), "must be 0 to 1");
  request = ComputeOf(PictureWith(300));
  request.set_pixel_max(255);
  ExpectRefused(Compute(request), "must be 0 to 1");
  for (const char* const datatype : {"FP32", "FP64", "FP16", "UINT8"}) {
    for (inference::ModelInferRequest one : InferencesOf(PictureWith(17), datatype)) {
      Parameter(one, "pixel_max").set_int64_param(16);
      ExpectRefused(Infer(one), "must be 0 to 1");
    }
  }
}

TEST_F(BadPixels, PixelMaxSaysWhatStandsForOne) {
  std::vector<float> bytes(kFakePixels, 64);
  bytes.back() = 255;
  ASSERT_THAT(Compute(ComputeOfBytes(bytes)), IsOk());
  const std::string expected = answer_.soft_targets().data();
  v1::ComputeSoftTargetsRequest request = ComputeOf(bytes);
  request.set_pixel_max(255);
  ASSERT_THAT(Compute(request), IsOk());
  EXPECT_EQ(answer_.soft_targets().data(), expected);
  for (const std::string datatype : {"FP32", "FP64", "FP16", "UINT8"}) {
    for (inference::ModelInferRequest one : InferencesOf(bytes, datatype)) {
      if (datatype != "UINT8") Parameter(one, "pixel_max").set_string_param("255");
      ASSERT_THAT(Infer(one), IsOk());
      if (one.raw_input_contents_size() == 0) continue;  // the answer is typed then
      EXPECT_EQ(RawOutput(inferred_, "soft_targets"), Floats(expected)) << datatype;
    }
  }
  request.set_pixel_max(-255);
  EXPECT_THAT(Compute(request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pixel_max must be finite")));
}

TEST_F(BadPixels, AreTakenAsTheyAreWhereTheCallerSaysSo) {
  for (const float pixel : {-0.5F, 1.5F, 255.0F}) {
    const std::vector<float> pixels = PictureWith(pixel);
    const float logit = FakeTeacher::Logit(pixels.data(), 1, 0, 0);
    v1::ComputeSoftTargetsRequest request = ComputeOf(pixels);
    request.set_allow_out_of_range(true);
    ASSERT_THAT(Compute(request), IsOk());
    EXPECT_EQ(Floats(answer_.soft_targets().data())[0], logit);
    for (const bool text : {false, true}) {
      inference::ModelInferRequest one = InferencesOf(pixels, "FP32")[0];
      inference::InferParameter& allow = Parameter(one, "allow_out_of_range");
      if (text) {
        allow.set_string_param("true");
      } else {
        allow.set_bool_param(true);
      }
      ASSERT_THAT(Infer(one), IsOk());
      EXPECT_EQ(RawOutput(inferred_, "soft_targets")[0], logit);
    }
  }
  v1::ComputeSoftTargetsRequest request = ComputeOf(PictureWith(std::nanf("")));
  request.set_allow_out_of_range(true);
  EXPECT_THAT(Compute(request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be finite")));
}

// --- in one batch ---

// Pictures whose pixels are all alike: the model answers 1/64 with NaN, and throws at 2/64.
constexpr float kUnfinite = 1.0F / 64;
constexpr float kThrown = 2.0F / 64;

class BadRows : public ::testing::TestWithParam<bool> {
 protected:
  BadRows() {
    probe_.before = [this](int64_t call) {
      if (call == 0) gate_.Pass();
      return absl::OkStatus();
    };
    probe_.unfinite = [](const float* pixels) { return pixels[0] == kUnfinite; };
    probe_.refuses = [](const float* pixels) {
      return pixels[0] == kThrown ? absl::InternalError("the model threw") : absl::OkStatus();
    };
    auto teacher = std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe_);
    if (GetParam()) teacher->set_encodes();
    server_.SetTeacher(std::move(teacher));
    busy_ = std::thread([this] {
      v1::ComputeSoftTargetsResponse response;
      EXPECT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
    });
    gate_.AwaitArrival();
  }
  ~BadRows() override {
    gate_.Open();
    busy_.join();
  }

  struct Answer {
    absl::Status status;
    std::vector<float> logits;
  };
  // One call for each picture, all of one batch, in this order.
  std::vector<Answer> ComputeTogether(const std::vector<float>& pictures) {
    std::vector<Answer> answers(pictures.size());
    std::vector<std::thread> callers;
    for (size_t i = 0; i < pictures.size(); ++i) {
      callers.emplace_back([&, i] {
        v1::ComputeSoftTargetsResponse response;
        answers[i].status =
            server_.Compute(ComputeOf(std::vector<float>(kFakePixels, pictures[i])), &response);
        answers[i].logits = Floats(response.soft_targets().data());
      });
      while (server_.host().scheduler().queued_query_rows() <= static_cast<int64_t>(i)) {
        std::this_thread::yield();
      }
    }
    gate_.Open();
    for (std::thread& caller : callers) caller.join();
    return answers;
  }
  // The answer to a picture at `row` of a batch of `rows`.
  static std::vector<float> Expected(float picture, int64_t rows, int64_t row) {
    const std::vector<float> pixels(kFakePixels, picture);
    std::vector<float> logits;
    for (int64_t c = 0; c < kFakeClasses; ++c) {
      logits.push_back(FakeTeacher::Logit(pixels.data(), rows, row, c));
    }
    return logits;
  }

  Gate gate_;
  FakeTeacherProbe probe_;
  TeacherServer server_;
  std::thread busy_;
};

TEST_P(BadRows, Fault52_ARowThatTheModelDoesNotAnswerFailsItsCallAlone) {
  const std::vector<float> pictures = {0.5F, kUnfinite, 0.25F, 0.75F, kUnfinite, 1.0F};
  const std::vector<Answer> answers = ComputeTogether(pictures);
  EXPECT_EQ(probe_.calls.load(), 2) << "the call at the gate, and one batch of all";
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i] == kUnfinite) {
      EXPECT_THAT(answers[i].status, StatusIs(absl::StatusCode::kInternal,
                                              "model fake answered with nan for class 3 of row 0"));
      continue;
    }
    EXPECT_THAT(answers[i].status, IsOk()) << i;
    EXPECT_EQ(answers[i].logits, Expected(pictures[i], 6, static_cast<int64_t>(i))) << i;
  }
  const ModelStatistics statistics = server_.host().scheduler().statistics()["fake"];
  EXPECT_EQ(statistics.failed_query_count, 2);
  EXPECT_EQ(statistics.query_count, 5);
  EXPECT_EQ(statistics.query_row_count, 6);  // that at the gate has two
}

TEST_P(BadRows, Fault52_WhatMakesTheModelThrowFailsItsCallAlone) {
  const std::vector<float> pictures = {0.5F, 0.25F, 0.75F, 1.0F, kThrown, 0.125F, kUnfinite, 0};
  const std::vector<Answer> answers = ComputeTogether(pictures);
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i] == kThrown) {
      EXPECT_THAT(answers[i].status, StatusIs(absl::StatusCode::kInternal, "the model threw"));
    } else if (pictures[i] == kUnfinite) {
      EXPECT_THAT(answers[i].status, StatusIs(absl::StatusCode::kInternal, HasSubstr("nan")));
    } else {
      EXPECT_THAT(answers[i].status, IsOk()) << i;
      ASSERT_EQ(answers[i].logits.size(), static_cast<size_t>(kFakeClasses));
      // Its batch is smaller now, and the last bits tell so.
      EXPECT_NEAR(answers[i].logits[0], Expected(pictures[i], 8, static_cast<int64_t>(i))[0], 0.05);
    }
  }
  // At the gate; all eight; each half; each pair of the second half; each of that pair.
  EXPECT_EQ(probe_.calls.load(), 1 + 1 + 2 + 2 + 2);
}

TEST_P(BadRows, Fault52_BadPixelsNeverReachTheBatch) {
  for (const float bad : {std::nanf(""), kInfinity, 255.0F}) {
    v1::ComputeSoftTargetsResponse response;
    // Refused at once, while the device is busy.
    EXPECT_THAT(server_.Compute(ComputeOf(PictureWith(bad)), &response),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  const std::vector<float> pictures = {0.5F, 0.25F, 0.75F};
  const std::vector<Answer> answers = ComputeTogether(pictures);
  for (size_t i = 0; i < pictures.size(); ++i) {
    EXPECT_THAT(answers[i].status, IsOk());
    EXPECT_EQ(answers[i].logits, Expected(pictures[i], 3, static_cast<int64_t>(i)));
  }
  EXPECT_EQ(probe_.rows.load(), 2 + 3);
}

INSTANTIATE_TEST_SUITE_P(LogitsAndEncoded, BadRows, ::testing::Bool());

}  // namespace
}  // namespace distillery
