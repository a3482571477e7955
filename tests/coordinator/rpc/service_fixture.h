// The coordinator behind its gRPC skin, on an in-process channel. It has no threads of its own
// unless a test starts them.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <vector>

#include "common/rpc/proto_conversion.h"
#include "common/rpc/server.h"
#include "common/rpc/status_conversion.h"
#include "coordinator/rpc/coordinator_service.h"
#include "tests/coordinator/fixture.h"

namespace distillery {

// 700,000 floats: three chunks of at most 1 MiB.
inline std::string LargeModel() {
  std::vector<float> w(700'000);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i);
  return ModelFile(std::move(w));
}

// The end of a stream whose client did nothing: that may see only the cancel.
MATCHER(IsIdleEnd, "") { return absl::IsResourceExhausted(arg) || absl::IsCancelled(arg); }

class CoordinatorServiceTest : public CoordinatorTest {
 protected:
  using Stub = v1::CoordinatorService::Stub;

  CoordinatorServiceTest()
      : service_(coordinator_.get()),
        server_(StartServer(&service_)),
        channel_(server_->InProcessChannel()),
        stub_(v1::CoordinatorService::NewStub(channel_)) {}
  ~CoordinatorServiceTest() override {
    // In the order of coordinator/main.cc: waiting calls end, then the server, then its service.
    coordinator_->Close();
    server_->Shutdown(absl::ZeroDuration());
  }

  // One unary call: Call(&Stub::GetRun, request).
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) {
    grpc::ClientContext context;
    Response response;
    const absl::Status status = FromGrpcStatus((*stub_.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  static v1::UploadDeltaRequest HeaderMessage(const UploadHeader& header) {
    v1::UploadDeltaRequest message;
    v1::DeltaHeader* const proto = message.mutable_header();
    proto->set_request_id(header.request_id);
    *proto->mutable_lease() = ToProto(header.lease);
    proto->set_byte_count(header.byte_count);
    *proto->mutable_metrics() = ToProto(header.metrics);
    for (const std::string& name : header.buffer_names) proto->add_buffer_names(name);
    proto->set_model_card(header.model_card);
    proto->set_delta_encoding(header.delta_encoding);
    return message;
  }
  static v1::UploadDeltaRequest ChunkMessage(int64_t offset, const std::string& data) {
    v1::UploadDeltaRequest message;
    message.mutable_chunk()->set_offset(offset);
    message.mutable_chunk()->set_data(data);
    return message;
  }
  static v1::UploadDeltaRequest TrailerMessage(int64_t chunks, const std::string& file) {
    v1::UploadDeltaRequest message;
    message.mutable_trailer()->set_chunk_count(chunks);
    message.mutable_trailer()->set_byte_count(static_cast<int64_t>(file.size()));
    message.mutable_trailer()->set_crc32c(Crc32c(file));
    return message;
  }

  // Sends the messages and ends the stream. True: it was a duplicate.
  absl::StatusOr<bool> Upload(const std::vector<v1::UploadDeltaRequest>& messages) {
    grpc::ClientContext context;
    v1::UploadDeltaResponse response;
    const auto writer = stub_->UploadDelta(&context, &response);
    for (const v1::UploadDeltaRequest& message : messages) {
      if (!writer->Write(message)) break;  // the server has ended the call: Finish says why
    }
    writer->WritesDone();
    const absl::Status status = FromGrpcStatus(writer->Finish());
    if (!status.ok()) return status;
    return response.duplicate();
  }
  // A whole upload in chunks of 1 MiB.
  absl::StatusOr<bool> Upload(const UploadHeader& header, const std::string& file) {
    std::vector<v1::UploadDeltaRequest> messages = {HeaderMessage(header)};
    for (size_t at = 0; at < file.size(); at += kChunkBytes) {
      messages.push_back(ChunkMessage(static_cast<int64_t>(at), file.substr(at, kChunkBytes)));
    }
    messages.push_back(TrailerMessage(static_cast<int64_t>(messages.size()) - 1, file));
    return Upload(messages);
  }

 private:
  static std::unique_ptr<RpcServer> StartServer(grpc::Service* service) {
    RpcServer::Options options;
    options.address.clear();
    auto server =
        RpcServer::Start(options, {{v1::CoordinatorService::service_full_name(), service}});
    EXPECT_THAT(server, IsOk());
    return *std::move(server);
  }

 protected:
  CoordinatorServiceImpl service_;
  const std::unique_ptr<RpcServer> server_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<Stub> stub_;
};

}  // namespace distillery
