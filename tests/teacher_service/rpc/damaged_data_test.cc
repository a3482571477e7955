// Data files that are cut short.
#include <sys/stat.h>

#include <fstream>

#include "tests/common/data/files.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/rpc/teacher_server.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(DamagedData, Fault32_ADamagedDataFileIsDataLossAndOtherDataGoOn) {
  const TemporaryFolder folder;
  ASSERT_THAT(mkdir(folder.File("broken").c_str(), 0700), 0);
  std::ofstream(folder.File("broken/train-images-idx3-ubyte"))
      << std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x08\0\0\0\x08", 16)  // 2 images of 8 x 8
      << std::string(100, '\1');                                        // 28 bytes too few
  std::ofstream(folder.File("broken/train-labels-idx1-ubyte"))
      << std::string("\0\0\x08\x01\0\0\0\x02\0\1", 10);
  std::ofstream(folder.File("broken/t10k-images-idx3-ubyte"))
      << std::string("\0\0\x08\x03\0\0\0\x01\0\0\0\x08\0\0\0\x08", 16) << std::string(64, '\1');
  std::ofstream(folder.File("broken/t10k-labels-idx1-ubyte"))
      << std::string("\0\0\x08\x01\0\0\0\x01\0", 9);
  TeacherServer::Options options;
  options.host.data_dir = folder.path();
  TeacherServer server(options);
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_name("broken");
  const absl::Status status = ReadWholeStream(server, request).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("train-images-idx3-ubyte")));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder.path())));
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
}

TEST(DamagedData, Fault32_AFileCutShortWhileItIsServedIsDataLossByShardAndOtherShardsGoOn) {
  const TemporaryFolder folder;
  ASSERT_THAT(mkdir(folder.File("tiny").c_str(), 0700), 0);
  std::string labels;
  for (char i = 0; i < 100; ++i) labels.push_back(static_cast<char>(i % 10));
  const auto write = [&](const std::string& name, const std::string& bytes) {
    ASSERT_THAT(WriteFileDurably(folder.File("tiny/" + name), bytes), IsOk());
  };
  for (const std::string split : {"train", "test"}) {
    write(split + "_images.npy", NpyBytes("|u1", "100, 8, 8", std::string(6400, '\1')));
    write(split + "_labels.npy", NpyBytes("|u1", "100,", labels));
  }
  TeacherServer::Options options;
  options.host.data_dir = folder.path();
  TeacherServer server(options);
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_name("tiny");
  request.mutable_dataset()->set_shard_size(10);
  ASSERT_THAT(ReadWholeStream(server, request).status, IsOk());
  std::filesystem::resize_file(
      folder.File("tiny/train_images.npy"),
      std::filesystem::file_size(folder.File("tiny/train_images.npy")) - 1);
  // One sample is lost, that of the last image: its shard alone fails, with targets and without.
  for (const bool samples_alone : {false, true}) {
    request.set_representation(samples_alone ? v1::REPRESENTATION_NONE : v1::REPRESENTATION_LOGITS);
    request.set_include_samples(samples_alone);
    int damaged = 0;
    for (int32_t shard = 0; shard < 10; ++shard) {
      request.set_shard(shard);
      // What was computed before needs no data: another temperature would not either.
      request.mutable_augmentation()->set_name("flip");
      request.mutable_augmentation()->set_seed(1);
      const absl::Status status = ReadWholeStream(server, request).status;
      if (status.ok()) continue;
      ++damaged;
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss,
                                   AllOf(HasSubstr("tiny/train@10: shard " + std::to_string(shard)),
                                         HasSubstr("train_images.npy is cut short"))));
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder.path())));
    }
    EXPECT_EQ(damaged, 1) << samples_alone;
  }
}

}  // namespace
}  // namespace distillery
