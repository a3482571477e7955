// ModelInfer: refusals. None reaches the teacher.
#include <functional>

#include "common/rpc/transport.h"
#include "tests/teacher_service/rpc/inference_server.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using Request = inference::ModelInferRequest;

struct Refusal {
  // What is done to a good request of two rows.
  std::function<void(Request&)> spoil;
  absl::StatusCode code;
  // In the message.
  std::string text;
};

class InferenceErrors : public ::testing::Test {
 protected:
  InferenceErrors() {
    server_.Load("first", &probe_);
    server_.Load("second", &probe_);
  }
  void ExpectRefused(const Request& good, const std::vector<Refusal>& refusals) {
    inference::ModelInferResponse response;
    for (const Refusal& refusal : refusals) {
      Request request = good;
      refusal.spoil(request);
      const absl::Status status = server_.Infer(request, &response);
      EXPECT_THAT(status, StatusIs(refusal.code, HasSubstr(refusal.text)))
          << request.ShortDebugString().substr(0, 300);
      EXPECT_LT(status.message().size(), 512U);
    }
    EXPECT_EQ(probe_.calls.load(), 0);
    EXPECT_THAT(server_.Infer(good, &response), IsOk());
  }
  FakeTeacherProbe probe_;
  InferenceServer server_;
};

std::function<void(Request&)> Shape(const std::vector<int64_t>& shape) {
  return [=](Request& request) {
    request.mutable_inputs(0)->clear_shape();
    for (const int64_t size : shape) request.mutable_inputs(0)->add_shape(size);
  };
}

std::function<void(Request&)> Temperature(double value) {
  return [=](Request& request) { Parameter(request, "temperature").set_double_param(value); };
}

std::function<void(Request&)> Text(const std::string& name, const std::string& value) {
  return [=](Request& request) { Parameter(request, name).set_string_param(value); };
}

std::function<void(Request&)> Whole(const std::string& name, int64_t value) {
  return [=](Request& request) { Parameter(request, name).set_int64_param(value); };
}

TEST_F(InferenceErrors, UnknownModelsAndVersionsAreNotFound) {
  ExpectRefused(
      RawRequest(),
      {{[](Request& r) { r.set_model_name("frist"); }, absl::StatusCode::kNotFound,
        "unknown model \"frist\"; did you mean \"first\"?"},
       {[](Request& r) { r.set_model_name("../first"); }, kInvalid, "model_name must be"},
       {[](Request& r) { r.set_model_name(std::string(1 << 20, 'x')); }, kInvalid, "model_name"},
       {[](Request& r) { r.set_model_version("2"); }, absl::StatusCode::kNotFound,
        "model_version must be \"1\" or empty, got \"2\""},
       {[](Request& r) { r.set_model_version(std::string(1 << 20, '1')); },
        absl::StatusCode::kNotFound, "model_version"}});
}

TEST_F(InferenceErrors, WrongInputsAreRefusedByTheirField) {
  ExpectRefused(
      RawRequest(),
      {{[](Request& r) { r.clear_inputs(); }, kInvalid, "inputs: the input \"inputs\" is missing"},
       {[](Request& r) { r.mutable_inputs(0)->set_name("input"); }, kInvalid,
        "inputs[0].name: unknown input \"input\"; did you mean \"inputs\"?"},
       {[](Request& r) { *r.add_inputs() = r.inputs(0); }, kInvalid, "inputs[1].name"},
       {[](Request& r) { r.mutable_inputs(0)->set_datatype("INT64"); }, kInvalid,
        "inputs[0].datatype: unknown datatype \"INT64\""},
       {[](Request& r) { r.mutable_inputs(0)->clear_datatype(); }, kInvalid, "inputs[0].datatype"},
       {[](Request& r) { r.mutable_inputs(0)->set_datatype(std::string(1 << 20, 'F')); }, kInvalid,
        "inputs[0].datatype"},
       {[](Request& r) {
          (*r.mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param(
              "region");
        },
        kInvalid, "inputs[0].parameters must be empty"}});
}

TEST_F(InferenceErrors, Fault38_SenselessShapesAreRefusedBeforeAnyAllocation) {
  const int64_t big = int64_t{1} << 31;
  ExpectRefused(RawRequest(),
                {{Shape({big, big, 2}), kInvalid, "inputs[0]: shape"},
                 {Shape({big, big, big, big}), kInvalid, "inputs[0]: shape"},
                 {Shape({-1}), kInvalid, "size -1"},
                 {Shape({-1, 1, 8, 8}), kInvalid, "size -1"},
                 {Shape({0}), kInvalid, "size 0"},
                 {Shape({0, 1, 8, 8}), kInvalid, "size 0"},
                 {Shape(std::vector<int64_t>(65, 1)), kInvalid, "65 dimensions"},
                 {Shape(std::vector<int64_t>(100000, 1)), kInvalid, "100000 dimensions"},
                 {Shape({}), kInvalid, "inputs[0].shape must be [rows, 1, 8, 8], got []"},
                 {Shape({2, 64}), kInvalid, "inputs[0].shape must be [rows, 1, 8, 8]"},
                 {Shape({2, 1, 4, 16}), kInvalid, "inputs[0].shape must be [rows, 1, 8, 8]"}});
}

TEST_F(InferenceErrors, Fault39_ByteSizeMustBeExact) {
  ExpectRefused(
      RawRequest(),
      {{[](Request& r) { r.mutable_raw_input_contents(0)->pop_back(); }, kInvalid,
        "raw_input_contents[0] has 511 bytes, inputs[0].shape and its datatype need 512"},
       {[](Request& r) { r.mutable_raw_input_contents(0)->clear(); }, kInvalid, "has 0 bytes"},
       {Shape({3, 1, 8, 8}), kInvalid, "need 768"},  // 3 * 64 * 4
       {[](Request& r) { r.mutable_inputs(0)->set_datatype("FP64"); }, kInvalid, "need 1024"},
       {[](Request& r) { r.mutable_inputs(0)->set_datatype("UINT8"); }, kInvalid, "need 128"},
       {[](Request& r) { r.add_raw_input_contents(""); }, kInvalid,
        "raw_input_contents has 2 entries, inputs has 1"},
       {[](Request& r) { r.clear_raw_input_contents(); }, kInvalid,
        "inputs[0].contents.fp32_contents has 0 elements"}});
}

TEST_F(InferenceErrors, RawAndTypedContentsDoNotMix) {
  ExpectRefused(RawRequest(),
                {{[](Request& r) { r.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1); },
                  kInvalid, "raw_input_contents and inputs[0].contents are both set"}});
}

TEST_F(InferenceErrors, TypedContentsMustFitTypeAndShape) {
  ExpectRefused(
      TypedRequest(),
      {{[](Request& r) { r.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1); }, kInvalid,
        "inputs[0].contents.fp32_contents has 129 elements"},
       {[](Request& r) { r.mutable_inputs(0)->set_datatype("FP64"); }, kInvalid,
        "inputs[0].contents.fp32_contents is not for FP64: use fp64_contents"},
       {[](Request& r) { r.mutable_inputs(0)->mutable_contents()->add_bytes_contents("x"); },
        kInvalid, "inputs[0].contents.bytes_contents is not for FP32"},
       {[](Request& r) { r.mutable_inputs(0)->set_datatype("FP16"); }, kInvalid,
        "send it in raw_input_contents"},
       {[](Request& r) {
          r = InferenceRequestFor(1, "UINT8");
          auto* const contents = r.mutable_inputs(0)->mutable_contents();
          for (uint32_t i = 0; i < 64; ++i) contents->add_uint_contents(i == 5 ? 256 : i);
        },
        kInvalid, "inputs[0].contents.uint_contents[5] must be 0 to 255, got 256"}});
}

TEST_F(InferenceErrors, UnknownOutputsAreRefusedByTheirField) {
  const auto output = [](const std::string& name) {
    return [=](Request& request) { request.add_outputs()->set_name(name); };
  };
  ExpectRefused(
      RawRequest(),
      {{output("soft_target"), kInvalid,
        "outputs[0].name: unknown output \"soft_target\"; did you mean \"soft_targets\"?"},
       {output(""), kInvalid, "outputs[0].name: unknown output"},
       {output(std::string(1 << 20, 'x')), kInvalid, "outputs[0].name: unknown output"},
       {output("classes"), kInvalid, "outputs[0].name: \"classes\" needs the parameter top_k"},
       {output("probabilities"), kInvalid, "needs the parameter top_k"},
       {output("tail_mass"), kInvalid, "needs the parameter top_k"},
       {[](Request& r) {
          r.add_outputs()->set_name("soft_targets");
          r.add_outputs()->set_name("soft_targets");
        },
        kInvalid, "outputs[1].name: \"soft_targets\" is asked for twice"},
       {[](Request& r) {
          auto* const asked = r.add_outputs();
          asked->set_name("soft_targets");
          (*asked->mutable_parameters())["shared_memory_region"].set_string_param("region");
        },
        kInvalid, "outputs[0].parameters: unknown parameter \"shared_memory_region\""}});
}

TEST_F(InferenceErrors, ClassificationsThatMakeNoSenseAreRefused) {
  const auto classification = [](const std::string& output, int64_t count) {
    return [=](Request& request) {
      Parameter(request, "top_k").set_int64_param(1);
      auto* const asked = request.add_outputs();
      asked->set_name(output);
      (*asked->mutable_parameters())["classification"].set_int64_param(count);
    };
  };
  ExpectRefused(RawRequest(),
                {{classification("soft_targets", 0), kInvalid,
                  "outputs[0]: parameters[\"classification\"] must be > 0, got 0"},
                 {classification("soft_targets", -1), kInvalid, "must be > 0, got -1"},
                 {classification("probabilities", 3), kInvalid,
                  "outputs[0].parameters[\"classification\"] is for soft_targets alone"},
                 {[](Request& r) {
                    auto* const asked = r.add_outputs();
                    asked->set_name("soft_targets");
                    (*asked->mutable_parameters())["classification"].set_string_param("all");
                  },
                  kInvalid, "must be a whole number, got \"all\""}});
}

TEST_F(InferenceErrors, Fault40_ParametersThatMakeNoSenseAreRefusedByName) {
  ExpectRefused(
      RawRequest(),
      {{Temperature(0), kInvalid, "temperature must be finite and > 0, got 0"},
       {Temperature(-1), kInvalid, "temperature"},
       {Temperature(std::nan("")), kInvalid, "temperature"},
       {Temperature(HUGE_VAL), kInvalid, "temperature"},
       {Temperature(1e-300), kInvalid, "temperature"},
       {Text("temperature", "inf"), kInvalid, "temperature"},
       {Text("temperature", "warm"), kInvalid,
        "parameters[\"temperature\"] must be a number, got \"warm\""},
       {Text("temperature", std::string(1 << 20, 'x')), kInvalid, "temperature"},
       {[](Request& r) { Parameter(r, "temperature").set_bool_param(true); }, kInvalid,
        "parameters[\"temperature\"] must be a number"},
       {[](Request& r) { Parameter(r, "temperature"); }, kInvalid,
        "parameters[\"temperature\"] must be a number"},
       {Text("representation", "logit"), kInvalid, "did you mean \"logits\"?"},
       {Whole("representation", 1), kInvalid, "parameters[\"representation\"] must be a text"},
       {Whole("top_k", 0), kInvalid, "top_k\"] must be 1 to the number of classes, 10, got 0"},
       {Whole("top_k", -1), kInvalid, "top_k"},
       {Whole("top_k", 11), kInvalid, "top_k"},
       {Text("top_k", "2.5"), kInvalid, "top_k\"] must be a whole number, got \"2.5\""},
       {[](Request& r) { Parameter(r, "top_k").set_uint64_param(~uint64_t{0}); }, kInvalid,
        "top_k\"] must be a whole number"},
       {Whole("timeout", -1), kInvalid, "timeout"},
       {Whole("temprature", 1), kInvalid,
        "unknown parameter \"temprature\"; did you mean \"temperature\"?"},
       {Whole("", 1), kInvalid, "unknown parameter"},
       {Whole(std::string(1 << 20, 'x'), 1), kInvalid, "unknown parameter"}});
}

TEST_F(InferenceErrors, TooManyRowsExhaustTheQuota) {
  ExpectRefused(RawRequest(),
                {{[](Request& r) {
                    r = InferenceRequestFor(4097, "UINT8");
                    r.add_raw_input_contents(std::string(4097 * 64, '\0'));
                  },
                  absl::StatusCode::kResourceExhausted, "inputs[0] has 4097 rows, at most 4096"}});
}

TEST_F(InferenceErrors, AnAnswerOverFourMebibytesIsRefusedBeforeItIsComputed) {
  // Elements and id are within their limits, but not together.
  ExpectRefused(RawRequest(),
                {{[](Request& r) { r.set_id(std::string(kMaxMessageBytes - 4096, 'x')); },
                  absl::StatusCode::kResourceExhausted, "2 rows would be over 4 MiB"}});
  InferenceServer server;
  FakeTeacherProbe probe;
  server.Load("first", &probe, /*classes=*/2000);
  inference::ModelInferResponse response;
  EXPECT_THAT(server.Infer(RawRequest(524), &response),  // 524 * 2000 * 4 bytes
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("524 rows would be over 4 MiB: send fewer")));
  EXPECT_EQ(probe.calls.load(), 0);
  EXPECT_THAT(server.Infer(RawRequest(523), &response), IsOk());
  // What is not asked for does not count.
  Request request = RawRequest(524);
  Parameter(request, "top_k").set_int64_param(2);
  request.add_outputs()->set_name("classes");
  EXPECT_THAT(server.Infer(request, &response), IsOk());
}

TEST_F(InferenceErrors, ATeacherErrorReachesTheCaller) {
  probe_.before = [](int64_t /*call*/) { return absl::DataLossError("no numbers"); };
  inference::ModelInferResponse response;
  EXPECT_THAT(server_.Infer(RawRequest(), &response),
              StatusIs(absl::StatusCode::kDataLoss, "no numbers"));
  EXPECT_EQ(server_.Statistics("first").inference_stats().fail().count(), 1U);
}

}  // namespace
}  // namespace distillery
