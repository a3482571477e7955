// Messages of bulk streams as bytes, so that a large payload is sent from where it lies.
//
// Threads: safe for all.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class MessageLite;
}  // namespace google::protobuf

namespace distillery {

// `bytes` without a copy; `owner` is held until gRPC is done with them.
template <typename Owner>
grpc::Slice OwnedSlice(absl::string_view bytes, Owner owner) {
  auto* const held = new Owner(std::move(owner));
  return {const_cast<char*>(bytes.data()), bytes.size(),  // NOLINT: gRPC only reads
          [](void* user) { delete static_cast<Owner*>(user); }, held};
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message);
// INTERNAL, as gRPC's own, if the bytes are no such message. Takes `bytes`.
absl::Status ParseMessage(grpc::ByteBuffer* bytes, google::protobuf::MessageLite* message);

// An UploadDeltaRequest, UploadWeightsRequest or DownloadWeightsResponse with this chunk, byte for
// byte as the generated class writes it. `data`, not empty, is not copied: `owner` keeps it alive.
grpc::ByteBuffer ChunkMessage(int64_t offset, absl::string_view data, uint32_t crc32c,
                              std::shared_ptr<const void> owner);

// The chunk of such a message without a copy of its data.
struct ChunkView {
  int64_t offset = 0;
  // In order; they live as long as the message.
  std::vector<absl::string_view> data;
  uint32_t crc32c = 0;
};
// Nothing if the message is another one, or is written in another way than usual: the generated
// class reads those.
std::optional<ChunkView> ReadChunkMessage(grpc::ByteBuffer* message);

}  // namespace distillery
