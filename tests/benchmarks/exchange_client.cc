#include "tests/benchmarks/exchange_client.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>

#include "common/base/checksum.h"
#include "common/base/status_macros.h"
#include "common/rpc/chunk_message.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

constexpr char kDownload[] = "/distillery.v1.CoordinatorService/DownloadWeights";
constexpr char kUpload[] = "/distillery.v1.CoordinatorService/UploadDelta";

// A call over raw bytes with one thing under way at a time.
class RawCall {
 public:
  RawCall(grpc::GenericStub& stub, const char* method)
      : call_(stub.PrepareCall(&context_, method, &queue_)) {
    call_->StartCall(nullptr);
    ok_ = Await();
  }
  bool Write(const grpc::ByteBuffer& message) {
    if (!ok_) return false;
    call_->Write(message, nullptr);
    return ok_ = Await();
  }
  bool WritesDone() {
    if (!ok_) return false;
    call_->WritesDone(nullptr);
    return ok_ = Await();
  }
  bool Read(grpc::ByteBuffer* message) {
    if (!ok_) return false;
    call_->Read(message, nullptr);
    return ok_ = Await();
  }
  absl::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, nullptr);
    Await();
    queue_.Shutdown();
    while (Await()) continue;
    return FromGrpcStatus(status);
  }

 private:
  bool Await() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool ok_ = true;
};

}  // namespace

std::shared_ptr<grpc::Channel> NewConnection(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::vector<grpc::ByteBuffer> UploadMessages(absl::string_view file, int64_t chunk_bytes) {
  std::vector<grpc::ByteBuffer> messages;
  for (size_t at = 0; at < file.size(); at += static_cast<size_t>(chunk_bytes)) {
    const absl::string_view data = file.substr(at, static_cast<size_t>(chunk_bytes));
    messages.push_back(ChunkMessage(static_cast<int64_t>(at), data, Crc32c(data), nullptr));
  }
  v1::UploadDeltaRequest trailer;
  trailer.mutable_trailer()->set_chunk_count(static_cast<int64_t>(messages.size()));
  trailer.mutable_trailer()->set_byte_count(static_cast<int64_t>(file.size()));
  trailer.mutable_trailer()->set_crc32c(Crc32c(file));
  messages.push_back(SerializeMessage(trailer));
  return messages;
}

std::vector<grpc::ByteBuffer> BareMessages(absl::string_view buffer, int64_t total_bytes) {
  std::vector<grpc::ByteBuffer> messages;
  for (int64_t left = total_bytes; left > 0;) {
    const size_t size = std::min(buffer.size(), static_cast<size_t>(left));
    const grpc::Slice slice(buffer.data(), size, grpc::Slice::STATIC_SLICE);
    messages.emplace_back(&slice, 1);
    left -= static_cast<int64_t>(size);
  }
  return messages;
}

absl::StatusOr<int64_t> ExchangeClient::Download(const v1::DownloadWeightsRequest& request) {
  RawCall call(generic_, kDownload);
  if (call.Write(SerializeMessage(request))) call.WritesDone();
  int64_t total = 0;
  grpc::ByteBuffer message;
  while (call.Read(&message)) total += static_cast<int64_t>(message.Length());
  DISTILLERY_RETURN_IF_ERROR(call.Finish());
  return total;
}

absl::Status ExchangeClient::Upload(const std::string& header,
                                    const std::vector<grpc::ByteBuffer>& messages) {
  RawCall call(generic_, kUpload);
  bool open = true;
  if (!header.empty()) {
    const grpc::Slice slice(header);
    open = call.Write(grpc::ByteBuffer(&slice, 1));
  }
  for (size_t i = 0; open && i < messages.size(); ++i) open = call.Write(messages[i]);
  if (open) call.WritesDone();
  grpc::ByteBuffer response;
  call.Read(&response);
  return call.Finish();
}

}  // namespace distillery
