// The Open Inference Protocol over a TeacherHost in this process, and what tests ask of it.
#pragma once

#include <grpcpp/client_context.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "inference/grpc_service.grpc.pb.h"
#include "teacher_service/rpc/inference_service.h"
#include "tests/common/status_matchers.h"
#include "tests/teacher_service/teachers/fake_teacher.h"

namespace distillery {

// A fake under any name, with any number of classes: the logits of class c are those of c mod 10.
class NamedTeacher : public Teacher {
 public:
  explicit NamedTeacher(const std::string& name, FakeTeacherProbe* probe = nullptr,
                        int64_t classes = kFakeClasses)
      : fake_(/*batch_rows=*/32, probe), info_(fake_.info()) {
    info_.model_name = name;
    info_.digest = name + "-digest";
    info_.card.class_names.clear();
    for (int64_t i = 0; i < classes; ++i) info_.card.class_names.push_back(std::to_string(i));
  }
  const TeacherInfo& info() const override { return info_; }
  absl::Status ComputeLogits(const InputColumns& inputs, int64_t rows, float* logits) override {
    std::vector<float> fake(static_cast<size_t>(rows * kFakeClasses));
    if (absl::Status status = fake_.ComputeLogits(inputs, rows, fake.data()); !status.ok()) {
      return status;
    }
    const int64_t classes = info_.card.class_count();
    for (int64_t i = 0; i < rows * classes; ++i) {
      logits[i] = fake[i / classes * kFakeClasses + i % classes % kFakeClasses];
    }
    return absl::OkStatus();
  }

 private:
  FakeTeacher fake_;
  TeacherInfo info_;
};

// Declares the models "first" and "second" and the ensemble "both"; none is loaded.
class InferenceServer {
 public:
  explicit InferenceServer(Clock* clock = Clock::Real()) {
    auto host = TeacherHost::Create({}, clock);
    EXPECT_THAT(host, IsOk());
    host_ = *std::move(host);
    EXPECT_THAT(host_->models().Declare("first"), IsOk());
    EXPECT_THAT(host_->models().Declare("second"), IsOk());
    EnsembleOptions both;
    both.mean = EnsembleOptions::Mean::kLogits;
    both.members = {{"first", 0.25}, {"second", 0.75}};
    EXPECT_THAT(host_->models().DeclareEnsemble("both", both), IsOk());
    service_ = std::make_unique<InferenceServiceImpl>(host_.get());
    RpcServer::Options options;
    options.address.clear();
    auto server = RpcServer::Start(
        options, {{inference::GRPCInferenceService::service_full_name(), service_.get()}});
    EXPECT_THAT(server, IsOk());
    server_ = *std::move(server);
    stub_ = inference::GRPCInferenceService::NewStub(server_->InProcessChannel());
  }
  ~InferenceServer() {
    host_->Close();
    server_->Shutdown(absl::ZeroDuration());
  }

  void Load(const std::string& name, FakeTeacherProbe* probe = nullptr,
            int64_t classes = kFakeClasses) {
    EXPECT_THAT(host_->models().Set(name, std::make_shared<NamedTeacher>(name, probe, classes)),
                IsOk());
  }

  TeacherHost& host() { return *host_; }
  inference::GRPCInferenceService::Stub& stub() { return *stub_; }

  // Any of the stub's methods: server.Call(&Stub::ModelReady, request, &response).
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (inference::GRPCInferenceService::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return FromGrpcStatus((*stub_.*method)(&context, request, response));
  }
  absl::Status Infer(const inference::ModelInferRequest& request,
                     inference::ModelInferResponse* response) {
    return Call(&inference::GRPCInferenceService::Stub::ModelInfer, request, response);
  }
  // What a model has done.
  inference::ModelStatistics Statistics(const std::string& name) {
    inference::ModelStatisticsRequest request;
    request.set_name(name);
    inference::ModelStatisticsResponse response;
    EXPECT_THAT(Call(&inference::GRPCInferenceService::Stub::ModelStatistics, request, &response),
                IsOk());
    EXPECT_EQ(response.model_stats_size(), 1);
    return response.model_stats(0);
  }
  // Returns when so many rows wait for the device: without sleeping, so only while it is held.
  void AwaitQueuedRows(int64_t rows) {
    while (host_->scheduler().queued_query_rows() < rows) std::this_thread::yield();
  }

 private:
  std::unique_ptr<TeacherHost> host_;
  std::unique_ptr<InferenceServiceImpl> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<inference::GRPCInferenceService::Stub> stub_;
};

using InferenceStub = inference::GRPCInferenceService::Stub;

// A request of pictures, without elements yet: the pixels of the first are all 1/64, of the next
// all 2/64, up to 64/64, and then from 1/64 again.
inline inference::ModelInferRequest InferenceRequestFor(int64_t rows, const std::string& datatype) {
  inference::ModelInferRequest request;
  request.set_model_name("first");
  auto* const input = request.add_inputs();
  input->set_name("inputs");
  input->set_datatype(datatype);
  for (const int64_t size : {rows, int64_t{1}, int64_t{8}, int64_t{8}}) input->add_shape(size);
  return request;
}

inline std::vector<float> PicturePixels(int64_t rows) {
  std::vector<float> pixels;
  for (int64_t r = 0; r < rows; ++r) {
    pixels.insert(pixels.end(), kFakePixels, static_cast<float>(r % 64 + 1) / 64);
  }
  return pixels;
}

inline inference::ModelInferRequest RawRequest(int64_t rows = 2) {
  inference::ModelInferRequest request = InferenceRequestFor(rows, "FP32");
  const std::vector<float> pixels = PicturePixels(rows);
  request.add_raw_input_contents(pixels.data(), pixels.size() * sizeof(float));
  return request;
}

inline inference::ModelInferRequest TypedRequest(int64_t rows = 2) {
  inference::ModelInferRequest request = InferenceRequestFor(rows, "FP32");
  for (const float pixel : PicturePixels(rows)) {
    request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(pixel);
  }
  return request;
}

inline inference::InferParameter& Parameter(inference::ModelInferRequest& request,
                                            const std::string& name) {
  return (*request.mutable_parameters())[name];
}

template <typename Element>
std::vector<Element> Elements(const std::string& bytes) {
  std::vector<Element> values(bytes.size() / sizeof(Element));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(Element));
  return values;
}

// The elements of a raw output; none, and a failure, if there is no such output.
template <typename Element = float>
std::vector<Element> RawOutput(const inference::ModelInferResponse& response,
                               const std::string& name) {
  EXPECT_EQ(response.raw_output_contents_size(), response.outputs_size());
  for (int i = 0; i < response.outputs_size(); ++i) {
    if (response.outputs(i).name() != name) continue;
    return Elements<Element>(response.raw_output_contents(i));
  }
  ADD_FAILURE() << "no output " << name << " in " << response.ShortDebugString();
  return {};
}

}  // namespace distillery
