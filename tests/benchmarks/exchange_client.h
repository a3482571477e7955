// A worker's side of coordinator_exchange: whole streams of weights with their messages as bytes.
// Bytes cost the client the same whoever is at the other end, so they compare servers.
//
// Threads: one for each client.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {

// A connection of its own: channels to one address would share one.
std::shared_ptr<grpc::Channel> NewConnection(const std::string& address);

// The chunks and the trailer of an upload of `file`, which must outlive them.
std::vector<grpc::ByteBuffer> UploadMessages(absl::string_view file, int64_t chunk_bytes);
// As many bytes in messages of one size, all from one buffer, which must outlive them.
std::vector<grpc::ByteBuffer> BareMessages(absl::string_view buffer, int64_t total_bytes);

class ExchangeClient {
 public:
  explicit ExchangeClient(const std::shared_ptr<grpc::Channel>& channel) : generic_(channel) {}

  // Reads to the end; the bytes of all messages. Errors of the stream.
  absl::StatusOr<int64_t> Download(const v1::DownloadWeightsRequest& request);
  // Sends the messages and waits for the answer; `header` may be empty. Errors of the stream.
  absl::Status Upload(const std::string& header, const std::vector<grpc::ByteBuffer>& messages);

 private:
  grpc::GenericStub generic_;
};

}  // namespace distillery
