// Data files that are cut short.
#include <sys/stat.h>

#include <fstream>

#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/teacher_server.h"

namespace distillery {
namespace {

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

}  // namespace
}  // namespace distillery
