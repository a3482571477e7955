#include "common/base/input_file.h"

#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(InputFile, ReadsWhatIsAskedForAndKnowsItsState) {
  const TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("x.bin"), "0123456789"), IsOk());
  ASSERT_OK_AND_ASSIGN(const InputFile file, InputFile::Open(folder.File("x.bin")));
  EXPECT_EQ(file.name(), "x.bin");
  EXPECT_EQ(file.size(), 10);
  std::string bytes(4, '\0');
  ASSERT_THAT(file.ReadAt(3, 4, bytes.data()), IsOk());
  EXPECT_EQ(bytes, "3456");
  ASSERT_OK_AND_ASSIGN(const InputFile again, InputFile::Open(folder.File("x.bin")));
  EXPECT_TRUE(again.stamp() == file.stamp());
  std::filesystem::last_write_time(
      folder.File("x.bin"),
      std::filesystem::file_time_type::clock::now() + std::chrono::seconds(9));
  ASSERT_OK_AND_ASSIGN(const InputFile later, InputFile::Open(folder.File("x.bin")));
  EXPECT_FALSE(later.stamp() == file.stamp());
}

TEST(InputFile, Fault32_AFileCutShortIsDataLossByItsNameAlone) {
  const TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("x.bin"), "0123456789"), IsOk());
  ASSERT_OK_AND_ASSIGN(const InputFile file, InputFile::Open(folder.File("x.bin")));
  std::filesystem::resize_file(folder.File("x.bin"), 5);
  std::string bytes(4, '\0');
  EXPECT_THAT(file.ReadAt(0, 4, bytes.data()), IsOk());
  EXPECT_THAT(file.ReadAt(3, 4, bytes.data()),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("x.bin is cut short: it ends before byte 7, at 5"),
                             Not(HasSubstr(folder.path())))));
}

TEST(InputFile, WhatIsNoFileIsRefused) {
  const TemporaryFolder folder;
  EXPECT_THAT(InputFile::Open(folder.File("none")).status(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(InputFile::Open(folder.path()).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder")));
}

}  // namespace
}  // namespace distillery
