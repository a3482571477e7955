// StreamSoftTargets of shards that are in the cache on disk.
#include <thread>

#include "common/base/checksum.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/teacher_server.h"

namespace distillery {
namespace {

constexpr int64_t kRowBytes = kFakeClasses * 4;

class CachedStreamTest : public ::testing::Test {
 protected:
  CachedStreamTest() : server_(Options(folder_.File("cache"))) {
    server_.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/8, &probe_));
    request_ = StreamRequest();
    request_.set_temperature(1);
    computed_ = ReadWholeStream(server_, request_);
    EXPECT_THAT(computed_.status, IsOk());
    EXPECT_EQ(server_.host().cache()->stats().files, 1);
    calls_ = probe_.calls.load();
  }
  static TeacherServer::Options Options(const std::string& folder) {
    TeacherServer::Options options;
    options.host.cache.folder = folder;
    options.host.cache.max_bytes = 1 << 20;
    return options;
  }

  const TemporaryFolder folder_;
  FakeTeacherProbe probe_;
  TeacherServer server_;
  v1::StreamSoftTargetsRequest request_;
  // As the teacher gave it.
  ReadStream computed_;
  int64_t calls_ = 0;
};

TEST_F(CachedStreamTest, IsWhatTheTeacherComputedWithItsChecksum) {
  const ReadStream stream = ReadWholeStream(server_, request_);
  ASSERT_THAT(stream.status, IsOk());
  EXPECT_EQ(probe_.calls.load(), calls_);
  EXPECT_EQ(stream.bytes, computed_.bytes);
  EXPECT_EQ(stream.trailers.at(0).crc32c(), Crc32c(stream.bytes));
  EXPECT_EQ(stream.trailers.at(0).byte_count(), 100 * kRowBytes);
}

TEST_F(CachedStreamTest, PartsAndOtherFormatsHaveChecksumsOfTheirOwn) {
  request_.set_start_row(37);
  const ReadStream rest = ReadWholeStream(server_, request_);
  EXPECT_EQ(rest.bytes, computed_.bytes.substr(37 * kRowBytes));
  EXPECT_EQ(rest.trailers.at(0).crc32c(), Crc32c(rest.bytes));
  request_.set_start_row(0);
  request_.set_temperature(4);
  const ReadStream softened = ReadWholeStream(server_, request_);
  EXPECT_NE(softened.bytes, computed_.bytes);
  EXPECT_EQ(softened.trailers.at(0).crc32c(), Crc32c(softened.bytes));
  request_.set_temperature(1);
  request_.set_include_samples(true);
  const ReadStream sampled = ReadWholeStream(server_, request_);
  EXPECT_EQ(sampled.bytes, computed_.bytes);
  std::string all;
  for (const v1::SoftTargetChunk& chunk : sampled.chunks) {
    all += chunk.values().data() + chunk.inputs().data() + chunk.labels().data();
  }
  EXPECT_EQ(sampled.trailers.at(0).crc32c(), Crc32c(all));
  EXPECT_EQ(probe_.calls.load(), calls_);
}

// Cuts are asked for ahead, and the first answer holds the whole shard: the stream must outlive the
// other answers. Many at once, so that some thread is held up between them.
TEST_F(CachedStreamTest, ManyAtOnceEndAsTheyShould) {
  constexpr int kThreads = 8;
  constexpr int kStreams = 200;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      for (int stream = 0; stream < kStreams; ++stream) {
        const ReadStream read = ReadWholeStream(server_, request_);
        EXPECT_THAT(read.status, IsOk());
        EXPECT_EQ(read.bytes, computed_.bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(probe_.calls.load(), calls_);
}

}  // namespace
}  // namespace distillery
