// ComputeSoftTargets and GetTeacher: answers and refusals.
#include <cmath>

#include "tests/teacher_service/rpc/teacher_server.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ComputeTest : public ::testing::Test {
 protected:
  ComputeTest() { server_.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe_)); }
  // Refused, and the teacher has not been asked.
  void ExpectRefused(const v1::ComputeSoftTargetsRequest& request, absl::StatusCode code,
                     const std::string& text) {
    v1::ComputeSoftTargetsResponse response;
    EXPECT_THAT(server_.Compute(request, &response), StatusIs(code, HasSubstr(text)))
        << request.ShortDebugString().substr(0, 200);
    EXPECT_EQ(probe_.calls.load(), 0);
  }
  FakeTeacherProbe probe_;
  TeacherServer server_;
};

v1::ComputeSoftTargetsRequest WithShape(const std::vector<int64_t>& shape) {
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  request.mutable_inputs()->clear_shape();
  for (const int64_t size : shape) request.mutable_inputs()->add_shape(size);
  return request;
}

TEST_F(ComputeTest, DescribesItsTeacher) {
  v1::Teacher response;
  ASSERT_THAT(server_.GetTeacher(&response), IsOk());
  EXPECT_EQ(response.teacher_digest(), "fake-teacher-digest");
  EXPECT_EQ(response.model_name(), "fake");
  EXPECT_THAT(response.input_shape(), ElementsAre(1, 8, 8));
  EXPECT_EQ(response.class_names_size(), 10);
  EXPECT_EQ(response.parameter_count(), 7);
  EXPECT_EQ(response.numerics_fingerprint(), "isa=none");
  EXPECT_EQ(response.batch_row_count(), 32);
}

TEST_F(ComputeTest, AnswersTheCallersInputsInOneBatch) {
  v1::ComputeSoftTargetsResponse response;
  ASSERT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
  EXPECT_EQ(response.teacher_digest(), "fake-teacher-digest");
  EXPECT_THAT(response.soft_targets().shape(), ElementsAre(2, 10));
  EXPECT_EQ(response.soft_targets().data_type(), v1::DATA_TYPE_FLOAT32);
  const std::vector<float> values = Floats(response.soft_targets().data());
  // Row 1, class 3: sum 64 * 0.5 = 32; 32 * 4/10 - 3 + (2 * 256 + 1)/65536; over T = 2.
  EXPECT_NEAR(values[13], (12.8 - 3 + 513.0 / 65536) / 2, 1e-6);
  EXPECT_EQ(probe_.calls.load(), 1);
}

TEST_F(ComputeTest, BytesOfPixelsAreTheFloatsTheyStandFor) {
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  std::string bytes;
  std::vector<float> floats;
  for (int i = 0; i < 128; ++i) {
    bytes.push_back(static_cast<char>(i * 2));
    floats.push_back(static_cast<float>(i * 2) / 255);
  }
  request.mutable_inputs()->set_data(floats.data(), floats.size() * sizeof(float));
  v1::ComputeSoftTargetsResponse from_floats;
  ASSERT_THAT(server_.Compute(request, &from_floats), IsOk());
  request.mutable_inputs()->set_data_type(v1::DATA_TYPE_UINT8);
  request.mutable_inputs()->set_data(bytes);
  v1::ComputeSoftTargetsResponse from_bytes;
  ASSERT_THAT(server_.Compute(request, &from_bytes), IsOk());
  EXPECT_EQ(from_bytes.SerializeAsString(), from_floats.SerializeAsString());
  request.mutable_inputs()->mutable_data()->pop_back();
  EXPECT_THAT(server_.Compute(request, &from_bytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("its shape needs 128")));
}

TEST_F(ComputeTest, ProbabilitiesSumToOne) {
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  v1::ComputeSoftTargetsResponse response;
  ASSERT_THAT(server_.Compute(request, &response), IsOk());
  const std::vector<float> logits = Floats(response.soft_targets().data());
  request.set_representation(v1::REPRESENTATION_PROBABILITIES);
  ASSERT_THAT(server_.Compute(request, &response), IsOk());
  const std::vector<float> got = Floats(response.soft_targets().data());
  for (size_t row = 0; row < 20; row += 10) {
    double sum = 0;
    double total = 0;
    for (size_t i = row; i < row + 10; ++i) sum += std::exp(static_cast<double>(logits[i]));
    for (size_t i = row; i < row + 10; ++i) {
      total += got[i];
      EXPECT_NEAR(got[i], std::exp(static_cast<double>(logits[i])) / sum, 1e-6);
    }
    EXPECT_NEAR(total, 1, 1e-6);
  }
}

TEST_F(ComputeTest, Fault38_SenselessShapesAreRefusedBeforeAnyAllocation) {
  const int64_t big = int64_t{1} << 31;
  ExpectRefused(WithShape({big, big, 2}), absl::StatusCode::kInvalidArgument, "shape");
  ExpectRefused(WithShape({big, big, big, big}), absl::StatusCode::kInvalidArgument, "shape");
  ExpectRefused(WithShape({-1}), absl::StatusCode::kInvalidArgument, "-1");
  ExpectRefused(WithShape({-1, 1, 8, 8}), absl::StatusCode::kInvalidArgument, "-1");
  ExpectRefused(WithShape({0}), absl::StatusCode::kInvalidArgument, "size 0");
  ExpectRefused(WithShape({0, 1, 8, 8}), absl::StatusCode::kInvalidArgument, "size 0");
  ExpectRefused(WithShape(std::vector<int64_t>(65, 1)), absl::StatusCode::kInvalidArgument,
                "65 dimensions");
  ExpectRefused(WithShape({}), absl::StatusCode::kInvalidArgument, "[rows, 1, 8, 8]");
  ExpectRefused(WithShape({2, 1, 4, 16}), absl::StatusCode::kInvalidArgument, "[rows, 1, 8, 8]");
}

TEST_F(ComputeTest, Fault39_ByteLengthMustFitShapeAndType) {
  ExpectRefused(WithShape({3, 1, 8, 8}), absl::StatusCode::kInvalidArgument,
                "inputs.data has 512 bytes, its shape needs 768");  // 2 and 3 * 64 * 4
  ExpectRefused(WithShape({1, 1, 8, 8}), absl::StatusCode::kInvalidArgument, "needs 256");
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  request.mutable_inputs()->mutable_data()->pop_back();
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "has 511 bytes");
  request.mutable_inputs()->clear_data();
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "has 0 bytes");
}

TEST_F(ComputeTest, Fault40_UnknownTypesAndEncodingsAreRefused) {
  for (const int type : {0, 2, 77}) {  // unset, float16, unknown
    v1::ComputeSoftTargetsRequest request = ComputeRequest();
    request.mutable_inputs()->set_data_type(static_cast<v1::DataType>(type));
    ExpectRefused(request, absl::StatusCode::kInvalidArgument, "data_type");
  }
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  request.set_encoding(static_cast<v1::Encoding>(99));
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "encoding is unknown: 99");
  request = ComputeRequest();
  request.set_representation(static_cast<v1::Representation>(-5));
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "representation is unknown: -5");
}

TEST_F(ComputeTest, Fault40_TemperaturesThatAreNotPositiveAreRefused) {
  for (const double temperature : {0.0, -1.0, std::nan(""), HUGE_VAL, -HUGE_VAL, 1e-300}) {
    v1::ComputeSoftTargetsRequest request = ComputeRequest();
    request.set_temperature(temperature);
    ExpectRefused(request, absl::StatusCode::kInvalidArgument, "temperature");
    v1::StreamSoftTargetsRequest stream = StreamRequest();
    stream.set_temperature(temperature);
    EXPECT_THAT(ReadWholeStream(server_, stream).status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("temperature")));
  }
  v1::StreamSoftTargetsRequest stream = StreamRequest();
  stream.set_encoding(static_cast<v1::Encoding>(99));
  EXPECT_THAT(ReadWholeStream(server_, stream).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("encoding")));
  EXPECT_EQ(probe_.calls.load(), 0);
}

TEST_F(ComputeTest, TooManyRowsExhaustTheQuota) {
  v1::ComputeSoftTargetsRequest request = WithShape({4097, 1, 8, 8});
  request.mutable_inputs()->set_data(std::string(4097 * 64 * 4, '\0'));
  ExpectRefused(request, absl::StatusCode::kResourceExhausted, "4097 rows, at most 4096");
}

TEST_F(ComputeTest, Fault37_MessageOverTheLimitLeavesTheConnectionUsable) {
  v1::ComputeSoftTargetsRequest request = ComputeRequest();
  request.mutable_inputs()->set_data(std::string((4 << 20) + 1, '\0'));
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server_.Compute(request, &response), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(probe_.calls.load(), 0);
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
}

TEST_F(ComputeTest, ATeacherErrorReachesTheCaller) {
  probe_.before = [](int64_t call) {
    return call == 0 ? absl::InternalError("the model threw") : absl::OkStatus();
  };
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response),
              StatusIs(absl::StatusCode::kInternal, "the model threw"));
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
}

TEST_F(ComputeTest, Fault34_ABatchThatTheDeviceHasNoMemoryForIsSplitAndTriedOnce) {
  std::atomic<int64_t> failures{1};
  probe_.before = [&](int64_t /*call*/) {
    return failures.fetch_sub(1) > 0 ? absl::ResourceExhaustedError("no memory") : absl::OkStatus();
  };
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
  EXPECT_EQ(probe_.calls.load(), 3);  // both rows, then each
  EXPECT_EQ(server_.host().scheduler().statistics()["fake"].split_batch_count, 1);
  failures = 1000;
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response),
              StatusIs(absl::StatusCode::kResourceExhausted, "no memory"));
  failures = 0;
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());  // it stays up
}

// A teacher on a device encodes there.
class EncodingTeacherTest : public ComputeTest {
 protected:
  EncodingTeacherTest() {
    auto teacher = std::make_shared<FakeTeacher>(/*batch_rows=*/32, &encoding_probe_);
    teacher->set_name("encoding");
    teacher->set_encodes();
    server_.SetTeacher(std::move(teacher));
  }
  FakeTeacherProbe encoding_probe_;
};

TEST_F(EncodingTeacherTest, AnswersAsOneThatGivesLogits) {
  TeacherServer plain;
  plain.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe_));
  for (const v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_FLOAT16, v1::ENCODING_INT8, v1::ENCODING_TOP_K}) {
    v1::ComputeSoftTargetsRequest request = ComputeRequest();
    request.set_encoding(encoding);
    if (encoding == v1::ENCODING_TOP_K) request.set_top_k(3);
    v1::ComputeSoftTargetsResponse got;
    v1::ComputeSoftTargetsResponse expected;
    ASSERT_THAT(server_.Compute(request, &got), IsOk());
    ASSERT_THAT(plain.Compute(request, &expected), IsOk());
    EXPECT_EQ(got.SerializeAsString(), expected.SerializeAsString()) << encoding;
  }
  EXPECT_EQ(encoding_probe_.encoded_calls, 4);
  const ModelStatistics statistics = server_.host().scheduler().statistics()["encoding"];
  EXPECT_EQ(statistics.query_count, 4);
  EXPECT_EQ(statistics.query_row_count, 8);
  EXPECT_EQ(statistics.query_batch_count, 4);
}

TEST_F(EncodingTeacherTest, ABatchThatFindsNoMemoryIsSplitAsLogits) {
  encoding_probe_.before = [](int64_t call) {
    return call < 2 ? absl::ResourceExhaustedError("no memory") : absl::OkStatus();
  };
  v1::ComputeSoftTargetsResponse response;
  ASSERT_THAT(server_.Compute(ComputeRequest(), &response), IsOk());
  // Encoded, both rows, then each row.
  EXPECT_EQ(encoding_probe_.calls, 4);
  EXPECT_EQ(encoding_probe_.encoded_calls, 1);
  EXPECT_EQ(server_.host().scheduler().statistics()["encoding"].split_batch_count, 1);
}

TEST_F(EncodingTeacherTest, ItsErrorReachesTheCaller) {
  encoding_probe_.before = [](int64_t /*call*/) { return absl::InternalError("the model threw"); };
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server_.Compute(ComputeRequest(), &response),
              StatusIs(absl::StatusCode::kInternal, "the model threw"));
  EXPECT_EQ(server_.host().scheduler().statistics()["encoding"].failed_query_count, 1);
}

}  // namespace
}  // namespace distillery
