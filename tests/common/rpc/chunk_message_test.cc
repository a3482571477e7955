// Chunks written and read by hand against the generated classes.
#include "common/rpc/chunk_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "absl/strings/str_join.h"
#include "distillery/v1/coordinator_service.pb.h"

namespace distillery {
namespace {

std::string Text(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(message.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

// In slices of `size` bytes, as they may come from the network.
grpc::ByteBuffer Sliced(const std::string& text, size_t size) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < text.size(); at += size) slices.emplace_back(text.substr(at, size));
  return {slices.data(), slices.size()};
}

v1::UploadDeltaRequest Generated(int64_t offset, const std::string& data, uint32_t crc32c) {
  v1::UploadDeltaRequest message;
  message.mutable_chunk()->set_offset(offset);
  message.mutable_chunk()->set_data(data);
  message.mutable_chunk()->set_crc32c(crc32c);
  return message;
}

class ChunkMessageTest : public ::testing::TestWithParam<std::tuple<int64_t, size_t, uint32_t>> {};

TEST_P(ChunkMessageTest, IsWhatTheGeneratedClassWrites) {
  const auto& [offset, size, crc32c] = GetParam();
  const std::string data(size, 'd');
  const std::string written = Text(ChunkMessage(offset, data, crc32c, nullptr));
  EXPECT_EQ(written, Generated(offset, data, crc32c).SerializeAsString());
  v1::DownloadWeightsResponse download;
  ASSERT_TRUE(download.ParseFromString(written));
  EXPECT_EQ(download.chunk().data(), data);
  v1::UploadWeightsRequest upload;
  ASSERT_TRUE(upload.ParseFromString(written));
  EXPECT_EQ(upload.chunk().offset(), offset);
}

TEST_P(ChunkMessageTest, IsReadFromSlicesOfAnySize) {
  const auto& [offset, size, crc32c] = GetParam();
  std::string data;
  for (size_t i = 0; i < size; ++i) data.push_back(static_cast<char>(i * 7));
  const std::string text = Generated(offset, data, crc32c).SerializeAsString();
  for (const size_t slice : {size_t{1}, size_t{3}, size_t{23}, size_t{1000}, text.size()}) {
    grpc::ByteBuffer message = Sliced(text, slice);
    const auto chunk = ReadChunkMessage(&message);
    ASSERT_TRUE(chunk.has_value()) << slice;
    EXPECT_EQ(chunk->offset, offset);
    EXPECT_EQ(chunk->crc32c, crc32c);
    EXPECT_EQ(absl::StrJoin(chunk->data, ""), data) << slice;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, ChunkMessageTest,
    ::testing::Combine(::testing::Values(int64_t{0}, int64_t{127}, int64_t{1} << 40),
                       ::testing::Values(size_t{1}, size_t{127}, size_t{128}, size_t{70000}),
                       ::testing::Values(0U, 1U, 0xFFFFFFFFU)));

TEST(ReadChunkMessage, LeavesEverythingElseToTheGeneratedClass) {
  const std::string chunk = Generated(5, "data", 7).SerializeAsString();
  v1::UploadDeltaRequest header;
  header.mutable_header()->set_request_id("r");
  std::string unknown_inside = chunk + std::string("\x78\x01", 2);
  unknown_inside[1] = static_cast<char>(unknown_inside[1] + 2);
  // Data twice: the last one counts.
  std::string twice = chunk + std::string("\x12\x01x", 3);
  twice[1] = static_cast<char>(twice[1] + 3);
  for (const std::string& text :
       {std::string(), header.SerializeAsString(), chunk + chunk, chunk.substr(0, chunk.size() - 1),
        chunk + "x", unknown_inside, twice, std::string("\xFF\xFF\xFF", 3)}) {
    grpc::ByteBuffer message = Sliced(text.empty() ? " " : text, 4);
    EXPECT_FALSE(ReadChunkMessage(&message).has_value()) << text;
  }
}

TEST(ChunkMessage, HoldsTheOwnerAsLongAsTheBytes) {
  auto owner = std::make_shared<const std::string>("bytes");
  const std::weak_ptr<const std::string> watched = owner;
  {
    const absl::string_view data = *owner;
    const grpc::ByteBuffer message = ChunkMessage(0, data, 1, std::move(owner));
    EXPECT_FALSE(watched.expired());
  }
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace distillery
