// StreamSoftTargets of shards that are in the cache on disk.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/rpc/soft_target_conversion.h"
#include "tests/common/data/files.h"
#include "tests/common/log_lines.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/rpc/teacher_server.h"

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

// A shard of three chunks, whose file is damaged while the service runs.
class Fault62_RottenCacheTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 60'000;

  Fault62_RottenCacheTest() {
    mkdir(folder_.File("data").c_str(), 0700);
    mkdir(folder_.File("data/many").c_str(), 0700);
    std::string pixels(kRows * 64, '\0');
    std::string labels(kRows, '\0');
    std::mt19937 random(62);
    for (char& pixel : pixels) pixel = static_cast<char>(random() % 256);
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<char>(i % 10);
    for (const std::string split : {"train", "test"}) {
      Write("data/many/" + split + "_images.npy", NpyBytes("|u1", "60000, 8, 8", pixels));
      Write("data/many/" + split + "_labels.npy", NpyBytes("|u1", "60000,", labels));
    }
    fresh_ = Start("");
    server_ = Start(folder_.File("cache"));
    request_ = StreamRequest();
    request_.set_temperature(1);
    request_.mutable_dataset()->set_name("many");
    request_.mutable_dataset()->set_shard_size(kRows);
    EXPECT_THAT(ReadWholeStream(*server_, request_).status, IsOk());
  }
  void Write(const std::string& name, const std::string& bytes) const {
    EXPECT_THAT(WriteFileDurably(folder_.File(name), bytes), IsOk());
  }
  std::unique_ptr<TeacherServer> Start(const std::string& cache) {
    TeacherServer::Options options;
    options.host.data_dir = folder_.File("data");
    options.host.cache.folder = cache;
    if (!cache.empty()) options.host.cache.max_bytes = 1 << 24;
    auto server = std::make_unique<TeacherServer>(options);
    server->SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/512, &probe_));
    return server;
  }
  std::string CacheFile() const {
    std::string path;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.File("cache"))) {
      if (entry.is_regular_file()) path = entry.path().string();
    }
    return path;
  }
  // Changes a byte; size and modification time stay.
  static void Rot(const std::string& path, int64_t at, char mask) {
    struct stat before {};
    ASSERT_EQ(stat(path.c_str(), &before), 0);
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    char byte = 0;
    ASSERT_EQ(pread(file, &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ mask);
    ASSERT_EQ(pwrite(file, &byte, 1, at), 1);
    const timespec times[] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(futimens(file, times), 0);
    close(file);
  }
  // By two minutes: what was made just now is not dropped for a client's word.
  static void Age(const std::string& path) {
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    const timespec two_minutes_ago = {info.st_mtim.tv_sec - 120, info.st_mtim.tv_nsec};
    const timespec times[] = {info.st_atim, two_minutes_ago};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  static std::string Content(const ReadStream& stream) {
    std::string values;
    std::string scales;
    for (const v1::SoftTargetChunk& chunk : stream.chunks) {
      values += chunk.values().data();
      scales += chunk.row_scales().data();
    }
    return values + scales;
  }
  // The cache's answer is that of a teacher without a cache, bit for bit, and its trailer agrees.
  void ExpectFreshBits(const std::string& what) {
    const ReadStream got = ReadWholeStream(*server_, request_);
    const ReadStream fresh = ReadWholeStream(*fresh_, request_);
    ASSERT_THAT(got.status, IsOk()) << what;
    ASSERT_THAT(fresh.status, IsOk());
    EXPECT_TRUE(Content(got) == Content(fresh)) << what;
    // Chunk by chunk, and those of a cache are longer.
    uint32_t crc = 0;
    for (const v1::SoftTargetChunk& chunk : got.chunks) crc = ChunkCrc32c(chunk, crc);
    EXPECT_EQ(got.trailers.at(0).crc32c(), crc) << what;
    EXPECT_EQ(got.trailers.at(0).byte_count(), fresh.trailers.at(0).byte_count()) << what;
  }
  LogitCache::Stats stats() { return server_->host().cache()->stats(); }

  const TemporaryFolder folder_;
  LogLines log_;
  FakeTeacherProbe probe_;
  std::unique_ptr<TeacherServer> fresh_;
  std::unique_ptr<TeacherServer> server_;
  v1::StreamSoftTargetsRequest request_;
};

TEST_F(Fault62_RottenCacheTest, BytesThatFlipWhileTheServiceRunsChangeNoAnswer) {
  std::mt19937 random(1962);
  int64_t damaged = 0;
  for (int round = 0; round < 24; ++round) {
    ASSERT_EQ(stats().corrupt, damaged);
    ASSERT_EQ(stats().files, 1) << "computed anew, it is kept anew";
    const std::string path = CacheFile();
    const auto size = static_cast<int64_t>(std::filesystem::file_size(path));
    const std::string what = "round " + std::to_string(round);
    // Anywhere, the header too; now and then it is cut short instead.
    if (round % 6 == 5) {
      std::filesystem::resize_file(path, static_cast<uint64_t>(random() % size));
    } else {
      Rot(path, static_cast<int64_t>(random() % static_cast<uint64_t>(round % 6 == 4 ? 128 : size)),
          static_cast<char>(1 + random() % 255));
    }
    request_.set_temperature(round % 2 == 0 ? 1 : 2);
    const v1::Encoding encodings[] = {v1::ENCODING_FLOAT32, v1::ENCODING_FLOAT16,
                                      v1::ENCODING_INT8};
    request_.set_encoding(encodings[round / 2 % 3]);
    request_.set_start_row(0);
    ExpectFreshBits(what);
    ++damaged;
    EXPECT_EQ(stats().corrupt, damaged) << what;
    // The next one fills the cache again; what comes after it is from there.
    ExpectFreshBits(what + ", computed anew");
    const int64_t calls = probe_.calls.load();
    request_.set_start_row(static_cast<int64_t>(random() % kRows));
    const ReadStream rest = ReadWholeStream(*server_, request_);
    EXPECT_EQ(probe_.calls.load(), calls) << what;
    const ReadStream fresh = ReadWholeStream(*fresh_, request_);
    EXPECT_TRUE(Content(rest) == Content(fresh)) << what;
  }
  EXPECT_THAT(log_.Of("warning"), ::testing::SizeIs(damaged));
  EXPECT_THAT(log_.Of("warning"), ::testing::Each(::testing::HasSubstr("removed a file")));
}

TEST_F(Fault62_RottenCacheTest, ManyStreamsOfADamagedFileAllGetTheTeachersBits) {
  const ReadStream fresh = ReadWholeStream(*fresh_, request_);
  // In the last of the three chunks: each stream finds it in mid-stream.
  Rot(CacheFile(), static_cast<int64_t>(std::filesystem::file_size(CacheFile())) - 1, 1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int stream = 0; stream < 3; ++stream) {
        const ReadStream got = ReadWholeStream(*server_, request_);
        EXPECT_THAT(got.status, IsOk());
        EXPECT_TRUE(got.bytes == fresh.bytes);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stats().corrupt, 1);
  EXPECT_EQ(stats().files, 1);
}

TEST_F(Fault62_RottenCacheTest, WhatAClientReportsAsDamagedIsDroppedAndComputedAnew) {
  const std::string before = CacheFile();
  struct stat old {};
  ASSERT_EQ(stat(before.c_str(), &old), 0);
  Age(before);
  const int64_t calls = probe_.calls.load();
  request_.set_discard_stored(true);
  EXPECT_THAT(ReadWholeStream(*server_, request_).status, IsOk());
  EXPECT_GT(probe_.calls.load(), calls);
  EXPECT_EQ(stats().corrupt, 1);
  EXPECT_THAT(
      log_.Of("warning"),
      ::testing::ElementsAre(::testing::HasSubstr("a client says that what it got of shard-")));
  // And kept anew.
  struct stat now {};
  ASSERT_EQ(stat(before.c_str(), &now), 0);
  EXPECT_NE(now.st_mtim.tv_nsec, old.st_mtim.tv_nsec);
  // Also for a client that reports it again and again.
  const int64_t again = probe_.calls.load();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(ReadWholeStream(*server_, request_).status, IsOk());
  request_.set_discard_stored(false);
  EXPECT_THAT(ReadWholeStream(*server_, request_).status, IsOk());
  EXPECT_EQ(stats().corrupt, 1);
  EXPECT_EQ(probe_.calls.load(), again);
}

TEST_F(Fault62_RottenCacheTest, WhatAClientReportsDisturbsNoOtherReaderOfTheShard) {
  using Response = v1::StreamSoftTargetsResponse;
  struct Reader {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<Response>> stream;
    std::string bytes;
    v1::SoftTargetTrailer trailer;
    absl::Status ReadOn() {
      Response message;
      while (stream->Read(&message)) {
        bytes += message.chunk().values().data();
        if (message.has_trailer()) trailer = message.trailer();
      }
      return FromGrpcStatus(stream->Finish());
    }
  };
  const ReadStream fresh = ReadWholeStream(*fresh_, request_);
  Age(CacheFile());
  // Some are in the midst of the shard, from the file that is reported.
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < 4; ++i) {
    auto reader = std::make_unique<Reader>();
    reader->stream = server_->stub().StreamSoftTargets(&reader->context, request_);
    Response message;
    ASSERT_TRUE(reader->stream->Read(&message) && message.has_header());
    ASSERT_TRUE(reader->stream->Read(&message) && message.has_chunk());
    reader->bytes = message.chunk().values().data();
    readers.push_back(std::move(reader));
  }
  // Others begin at any time while it is computed anew.
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, request = request_] {
      do {
        const ReadStream got = ReadWholeStream(*server_, request);
        EXPECT_THAT(got.status, IsOk());
        EXPECT_TRUE(got.bytes == fresh.bytes);
        EXPECT_EQ(got.trailers.at(0).crc32c(), fresh.trailers.at(0).crc32c());
      } while (!over);
    });
  }
  request_.set_discard_stored(true);
  const ReadStream reported = ReadWholeStream(*server_, request_);
  EXPECT_THAT(reported.status, IsOk());
  EXPECT_TRUE(reported.bytes == fresh.bytes);
  EXPECT_EQ(stats().corrupt, 1) << "it was dropped";
  for (const auto& reader : readers) {
    EXPECT_THAT(reader->ReadOn(), IsOk());
    EXPECT_TRUE(reader->bytes == fresh.bytes);
    EXPECT_EQ(reader->trailer.crc32c(), fresh.trailers.at(0).crc32c());
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stats().files, 1) << "and kept anew";
  EXPECT_EQ(stats().corrupt, 1);
}

}  // namespace
}  // namespace distillery
