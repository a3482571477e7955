// A teacher service in this process, and what tests ask of it.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>

#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "common/rpc/transport.h"
#include "common/soft_targets/encode.h"
#include "teacher_service/rpc/teacher_service.h"
#include "tests/common/status_matchers.h"
#include "tests/teacher_service/teachers/fake_teacher.h"

namespace distillery {

// One model, "fake", which is set by hand; goes down with no grace.
class TeacherServer {
 public:
  struct Options {
    TeacherHost::Options host;
    TeacherServiceImpl::Options service;
    // Empty: an in-process channel alone.
    std::string address;
  };
  explicit TeacherServer(const Options& options = {}, Clock* clock = Clock::Real())
      : host_(*TeacherHost::Create(options.host, clock)), service_(options.service, host_.get()) {
    EXPECT_THAT(host_->models().Declare("fake"), IsOk());
    RpcServer::Options server;
    server.address = options.address;
    auto started = RpcServer::Start(server, {{v1::TeacherService::service_full_name(), &service_}});
    EXPECT_THAT(started, IsOk());
    server_ = *std::move(started);
    stub_ = v1::TeacherService::NewStub(channel());
  }
  ~TeacherServer() {
    server_->Shutdown(absl::ZeroDuration());
    host_->Close();
  }

  void SetTeacher(std::shared_ptr<Teacher> teacher) {
    EXPECT_THAT(host_->models().Set("fake", std::move(teacher)), IsOk());
  }
  TeacherHost& host() { return *host_; }
  TeacherServiceImpl& service() { return service_; }
  RpcServer& server() { return *server_; }
  v1::TeacherService::Stub& stub() { return *stub_; }
  std::shared_ptr<grpc::Channel> channel() {
    if (server_->address().empty()) return server_->InProcessChannel();
    return *MakeChannel(server_->address(), {});
  }

  absl::Status GetTeacher(v1::Teacher* teacher) {
    grpc::ClientContext context;
    v1::GetTeacherResponse response;
    const grpc::Status status = stub_->GetTeacher(&context, {}, &response);
    *teacher = response.teacher();
    return FromGrpcStatus(status);
  }
  absl::Status Compute(const v1::ComputeSoftTargetsRequest& request,
                       v1::ComputeSoftTargetsResponse* response) {
    grpc::ClientContext context;
    return FromGrpcStatus(stub_->ComputeSoftTargets(&context, request, response));
  }

 private:
  const std::unique_ptr<TeacherHost> host_;
  TeacherServiceImpl service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::TeacherService::Stub> stub_;
};

// Bytes to a method by name, past the generated classes.
inline std::pair<grpc::Status, std::string> RawCall(const std::shared_ptr<grpc::Channel>& channel,
                                                    const std::string& method,
                                                    const std::string& bytes) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  grpc::ClientContext context;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                 [&](grpc::Status status) { done.set_value(std::move(status)); });
  grpc::Status status = done.get_future().get();
  grpc::Slice answer;
  if (!status.ok() || !response.TrySingleSlice(&answer).ok()) return {status, ""};
  return {status, std::string(answer.begin(), answer.end())};
}

// All that one stream brought.
struct ReadStream {
  std::vector<v1::SoftTargetHeader> headers;
  std::vector<v1::SoftTargetChunk> chunks;
  std::vector<v1::SoftTargetTrailer> trailers;
  // The chunks' values end to end.
  std::string bytes;
  absl::Status status;
};

inline ReadStream ReadWholeStream(TeacherServer& server,
                                  const v1::StreamSoftTargetsRequest& request) {
  ReadStream result;
  grpc::ClientContext context;
  const auto reader = server.stub().StreamSoftTargets(&context, request);
  v1::StreamSoftTargetsResponse message;
  while (reader->Read(&message)) {
    EXPECT_TRUE(result.trailers.empty()) << "the trailer is last";
    if (message.has_header()) result.headers.push_back(message.header());
    if (message.has_trailer()) result.trailers.push_back(message.trailer());
    if (!message.has_chunk()) continue;
    result.bytes += message.chunk().values().data();
    result.chunks.push_back(message.chunk());
  }
  result.status = FromGrpcStatus(reader->Finish());
  return result;
}

// Shard 0 of the digits' training split in shards of 100, logits at T = 2.
inline v1::StreamSoftTargetsRequest StreamRequest() {
  v1::StreamSoftTargetsRequest request;
  request.mutable_dataset()->set_name("digits");
  request.mutable_dataset()->set_split("train");
  request.mutable_dataset()->set_shard_size(100);
  request.set_temperature(2);
  return request;
}

// Two pictures whose pixels are all 0.25 and all 0.5, logits at T = 2.
inline v1::ComputeSoftTargetsRequest ComputeRequest() {
  v1::ComputeSoftTargetsRequest request;
  request.set_temperature(2);
  v1::Tensor* const inputs = request.mutable_inputs();
  inputs->set_data_type(v1::DATA_TYPE_FLOAT32);
  for (const int64_t size : {2, 1, 8, 8}) inputs->add_shape(size);
  std::vector<float> pixels(2 * kFakePixels, 0.25F);
  std::fill(pixels.begin() + kFakePixels, pixels.end(), 0.5F);
  inputs->set_data(pixels.data(), pixels.size() * sizeof(float));
  return request;
}

inline std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

}  // namespace distillery
