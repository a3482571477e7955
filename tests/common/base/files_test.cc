#include "common/base/files.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) { return folder_.File(name); }
  int CountOfFiles() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      ++count;
    }
    return count;
  }
  TemporaryFolder folder_;
};

TEST_F(FilesTest, WrittenFileIsReadBackAndNothingElseIsLeft) {
  ASSERT_THAT(WriteFileDurably(Path("a"), "old"), IsOk());
  ASSERT_THAT(WriteFileDurably(Path("a"), std::string("new\0text", 8)), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(Path("a"), 8));
  EXPECT_EQ(text, std::string("new\0text", 8));
  EXPECT_EQ(CountOfFiles(), 1);
}

TEST_F(FilesTest, ReadingSaysWhyItCannot) {
  ASSERT_THAT(WriteFileDurably(Path("a"), "12345"), IsOk());
  EXPECT_THAT(ReadFile(Path("none"), 9), StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(ReadFile(Path("a"), 4), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ReadFile(folder_.path(), 1 << 20),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder")));
}

TEST_F(FilesTest, SystemErrorsBecomeCodes) {
  EXPECT_THAT(ErrnoStatus(ENOENT, "x"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ErrnoStatus(ENOSPC, "x"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ErrnoStatus(EDQUOT, "x"), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ErrnoStatus(EIO, "cannot write a"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("cannot write a: ")));
}

TEST_F(FilesTest, AFullDiskIsResourceExhausted) {
  ASSERT_OK_AND_ASSIGN(auto full, OutputFile::Create("/dev/full"));
  EXPECT_THAT(full->Append("x"), StatusIs(absl::StatusCode::kResourceExhausted));
  ASSERT_THAT(full->Keep(), IsOk());  // or the destructor would unlink the device
}

TEST_F(FilesTest, OutputFileThatIsNotKeptIsRemoved) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, OutputFile::Create(Path("a")));
    ASSERT_THAT(file->Append("abc"), IsOk());
    ASSERT_THAT(file->Append("de"), IsOk());
    EXPECT_EQ(file->size(), 5);
    EXPECT_TRUE(FileExists(Path("a")));
  }
  EXPECT_FALSE(FileExists(Path("a")));
}

TEST_F(FilesTest, OutputFileThatIsKeptStays) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, OutputFile::Create(Path("a")));
    ASSERT_THAT(file->Append("abc"), IsOk());
    ASSERT_THAT(file->Sync(), IsOk());
    ASSERT_THAT(file->Keep(), IsOk());
  }
  EXPECT_EQ(*ReadFile(Path("a"), 9), "abc");
}

TEST_F(FilesTest, MappedFileShowsTheBytes) {
  ASSERT_THAT(WriteFileDurably(Path("a"), "abc"), IsOk());
  ASSERT_THAT(WriteFileDurably(Path("empty"), ""), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto mapped, MappedFile::Open(Path("a")));
  ASSERT_OK_AND_ASSIGN(const auto empty, MappedFile::Open(Path("empty")));
  EXPECT_EQ(mapped->bytes(), "abc");
  EXPECT_EQ(empty->bytes(), "");
  EXPECT_THAT(MappedFile::Open(Path("none")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FilesTest, RenamingAndRemoving) {
  ASSERT_THAT(WriteFileDurably(Path("a"), "abc"), IsOk());
  ASSERT_THAT(RenameDurably(Path("a"), Path("b")), IsOk());
  EXPECT_FALSE(FileExists(Path("a")));
  EXPECT_THAT(RenameDurably(Path("a"), Path("c")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(RemoveFile(Path("b")), IsOk());
  EXPECT_THAT(RemoveFile(Path("b")), IsOk());
  EXPECT_FALSE(FileExists(Path("b")));
}

TEST_F(FilesTest, FoldersAreMadeWithThoseAbove) {
  EXPECT_THAT(MakeFolders(Path("a/b/c")), IsOk());
  EXPECT_TRUE(FileExists(Path("a/b/c")));
  ASSERT_THAT(WriteFileDurably(Path("file"), ""), IsOk());
  EXPECT_THAT(MakeFolders(Path("file/b")), StatusIs(absl::StatusCode::kUnavailable));
}

TEST(Paths, AreTakenApart) {
  EXPECT_EQ(BaseName("/a/b.txt"), "b.txt");
  EXPECT_EQ(BaseName("b.txt"), "b.txt");
  EXPECT_EQ(FolderOf("/a/b.txt"), "/a");
  EXPECT_EQ(FolderOf("/b.txt"), "/");
  EXPECT_EQ(FolderOf("b.txt"), ".");
}

TEST_F(FilesTest, FolderIsLockedForOneHolderAndNamesIt) {
  {
    ASSERT_OK_AND_ASSIGN(const auto held, FolderLock::Acquire(Path("state")));
    EXPECT_THAT(FolderLock::Acquire(Path("state")),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("in use by process " + std::to_string(getpid()))));
  }
  EXPECT_THAT(FolderLock::Acquire(Path("state")), IsOk());
}

}  // namespace
}  // namespace distillery
