// Any bytes as a request: through a whole service in this process, and through the decoder of the
// Open Inference Protocol. No answer may be UNKNOWN, INTERNAL alone for bytes that are no message.
#include "teacher_service/rpc/inference_request.h"
#include "tests/fuzz/fuzz_main.h"
#include "tests/teacher_service/rpc/teacher_server.h"

namespace distillery {
namespace {

TeacherServer& Server() {
  static auto* const server = [] {
    auto* const made = new TeacherServer;
    made->SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
    return made;
  }();
  return *server;
}

void TestOneInput(absl::string_view bytes) {
  const uint8_t choice = TakeByte(&bytes) % 3;
  const std::string request(bytes);
  if (choice == 2) {
    inference::ModelInferRequest message;
    if (!message.ParseFromString(request)) return;
    const auto read = ReadInferenceRequest(message, (*Server().host().ReadyTeacher(""))->info());
    if (read.ok()) Require(read->inputs.columns().size() == 1 && read->rows > 0);
    return;
  }
  grpc::StatusCode code = grpc::StatusCode::OK;
  bool parses = false;
  if (choice == 0) {
    v1::ComputeSoftTargetsRequest message;
    parses = message.ParseFromString(request);
    code = RawCall(Server().channel(), "/distillery.v1.TeacherService/ComputeSoftTargets", request)
               .first.error_code();
  } else {
    v1::StreamSoftTargetsRequest message;
    parses = message.ParseFromString(request);
    if (parses) {
      code = static_cast<grpc::StatusCode>(ReadWholeStream(Server(), message).status.code());
    }
  }
  Require(code != grpc::StatusCode::UNKNOWN);
  Require(code != grpc::StatusCode::INTERNAL || !parses);
}

}  // namespace
}  // namespace distillery

DISTILLERY_FUZZ_TARGET(distillery::TestOneInput)
