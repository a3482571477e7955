#include "common/rpc/chunk_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message_lite.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <algorithm>
#include <string>

#include "common/base/proto_wire.h"
#include "common/rpc/unparsable_request.h"

namespace distillery {
namespace {

// The field of the messages with a chunk.
constexpr int kChunk = 2;
// The fields of BytesChunk.
constexpr int kOffset = 1;
constexpr int kData = 2;
constexpr int kCrc32c = 3;

// Wire types.
constexpr uint32_t kVarint = 0;
constexpr uint32_t kLengthDelimited = 2;
constexpr uint32_t kFixed32 = 5;
constexpr uint32_t Tag(int field, uint32_t type) {
  return (static_cast<uint32_t>(field) << 3) | type;
}

}  // namespace

grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

absl::Status ParseMessage(grpc::ByteBuffer* bytes, google::protobuf::MessageLite* message) {
  using Traits = grpc::SerializationTraits<google::protobuf::MessageLite>;
  if (Traits::Deserialize(bytes, message).ok()) return absl::OkStatus();
  return absl::InternalError(kUnparsableRequest);
}

grpc::ByteBuffer ChunkMessage(int64_t offset, absl::string_view data, uint32_t crc32c,
                              std::shared_ptr<const void> owner) {
  std::string chunk;
  if (offset != 0) AppendVarintField(kOffset, static_cast<uint64_t>(offset), &chunk);
  AppendLengthField(kData, data.size(), &chunk);
  std::string end;
  if (crc32c != 0) AppendFixed32Field(kCrc32c, crc32c, &end);
  std::string start;
  AppendLengthField(kChunk, chunk.size() + data.size() + end.size(), &start);
  start += chunk;
  const grpc::Slice slices[] = {grpc::Slice(start), OwnedSlice(data, std::move(owner)),
                                grpc::Slice(end)};
  return {slices, end.empty() ? size_t{2} : size_t{3}};
}

std::optional<ChunkView> ReadChunkMessage(grpc::ByteBuffer* message) {
  // Not a copy of it: short slices lie in the buffer itself.
  grpc::ProtoBufferReader slices(message);
  if (!slices.status().ok()) return std::nullopt;
  google::protobuf::io::CodedInputStream in(&slices);
  const auto whole = static_cast<int>(message->Length());
  uint32_t size = 0;
  if (in.ReadTag() != Tag(kChunk, kLengthDelimited) || !in.ReadVarint32(&size) ||
      in.CurrentPosition() + static_cast<int64_t>(size) != whole) {
    return std::nullopt;
  }
  ChunkView chunk;
  bool has_data = false;
  while (in.CurrentPosition() < whole) {
    switch (in.ReadTag()) {
      case Tag(kOffset, kVarint): {
        uint64_t offset = 0;
        if (!in.ReadVarint64(&offset)) return std::nullopt;
        chunk.offset = static_cast<int64_t>(offset);
        break;
      }
      case Tag(kData, kLengthDelimited): {
        uint32_t left = 0;
        if (has_data || !in.ReadVarint32(&left)) return std::nullopt;
        has_data = true;
        while (left > 0) {
          const void* data = nullptr;
          int available = 0;
          if (!in.GetDirectBufferPointer(&data, &available)) return std::nullopt;
          const int taken = static_cast<int>(std::min(left, static_cast<uint32_t>(available)));
          chunk.data.emplace_back(static_cast<const char*>(data), static_cast<size_t>(taken));
          if (!in.Skip(taken)) return std::nullopt;
          left -= static_cast<uint32_t>(taken);
        }
        break;
      }
      case Tag(kCrc32c, kFixed32):
        if (!in.ReadLittleEndian32(&chunk.crc32c)) return std::nullopt;
        break;
      default:
        return std::nullopt;
    }
  }
  return chunk;
}

}  // namespace distillery
