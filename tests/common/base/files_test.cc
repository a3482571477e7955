#include "common/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "common/base/disk_errors.h"
#include "tests/common/eaten_descriptors.h"
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

TEST_F(FilesTest, Fault66_RemovingTheLockFileLetsNobodyElseIn) {
  ASSERT_OK_AND_ASSIGN(const auto held, FolderLock::Acquire(Path("state")));
  ASSERT_THAT(RemoveFile(Path("state/lock")), IsOk());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(FolderLock::Acquire(Path("state")),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is in use by process")));
  }
}

TEST_F(FilesTest, Fault66_ALockFileThatAnOlderVersionHoldsIsEnough) {
  ASSERT_THAT(MakeFolders(Path("state")), IsOk());
  const Descriptor older(open(Path("state/lock").c_str(), O_RDWR | O_CREAT, 0644));
  ASSERT_EQ(flock(older.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(FolderLock::Acquire(Path("state")), StatusIs(absl::StatusCode::kFailedPrecondition));
}

mode_t RightsOf(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST_F(FilesTest, WhatIsForItsOwnerIsSoFromTheStartAndTheRestAsTheUmaskSays) {
  const mode_t before = umask(022);
  EXPECT_THAT(MakeFolders(Path("ours/deep"), Readers::kOwner), IsOk());
  EXPECT_THAT(MakeFolders(Path("shared")), IsOk());
  EXPECT_THAT(WriteFileDurably(Path("secret"), "x", Readers::kOwner), IsOk());
  EXPECT_THAT(WriteFileDurably(Path("report"), "x"), IsOk());
  umask(before);
  EXPECT_EQ(RightsOf(Path("ours/deep")), 0700);
  EXPECT_EQ(RightsOf(Path("ours")), 0755) << "those above it are nobody's";
  EXPECT_EQ(RightsOf(Path("shared")), 0755);
  EXPECT_EQ(RightsOf(Path("secret")), 0600);
  EXPECT_EQ(RightsOf(Path("report")), 0644);
}

TEST_F(FilesTest, WhatWasOpenToOthersIsMadePrivateAndLinksAreNotFollowed) {
  ASSERT_THAT(MakeFolders(Path("old/inner")), IsOk());
  ASSERT_THAT(WriteFileDurably(Path("old/inner/file"), "x"), IsOk());
  ASSERT_THAT(WriteFileDurably(Path("elsewhere"), "x"), IsOk());
  ASSERT_EQ(chmod(Path("old/inner").c_str(), 0775), 0);
  ASSERT_EQ(chmod(Path("old/inner/file").c_str(), 0664), 0);
  ASSERT_EQ(chmod(Path("elsewhere").c_str(), 0644), 0);
  ASSERT_EQ(symlink(Path("elsewhere").c_str(), Path("old/link").c_str()), 0);
  MakePrivate(Path("old"));
  EXPECT_EQ(RightsOf(Path("old")), 0700);
  EXPECT_EQ(RightsOf(Path("old/inner")), 0700);
  EXPECT_EQ(RightsOf(Path("old/inner/file")), 0600);
  EXPECT_EQ(RightsOf(Path("elsewhere")), 0644);
  MakePrivate(Path("not-there"));
}

TEST_F(FilesTest, Fault28_AFileThatCouldNotBeSyncedIsNeverSyncedAgainNorKept) {
  // A pipe knows no sync.
  ASSERT_EQ(mkfifo(Path("a").c_str(), 0600), 0);
  const Descriptor reader(open(Path("a").c_str(), O_RDONLY | O_NONBLOCK));
  {
    ASSERT_OK_AND_ASSIGN(const auto file, OutputFile::Create(Path("a")));
    const absl::Status failed = file->Sync();
    EXPECT_TRUE(IsSyncFailure(failed)) << failed;
    EXPECT_FALSE(FileExists(Path("a")));
    EXPECT_TRUE(IsSyncFailure(file->Sync()));
    EXPECT_FALSE(file->Append("x").ok());
    EXPECT_FALSE(file->Keep().ok());
  }
  EXPECT_FALSE(FileExists(Path("a")));
}

TEST_F(FilesTest, Fault58_WithoutAFreeDescriptorNothingIsRenamedAndNoSyncHasFailed) {
  ASSERT_THAT(WriteFileDurably(Path("a"), "abc"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto open, OutputFile::Create(Path("b")));
  std::vector<absl::Status> refused;
  absl::Status kept;
  {
    const EatenDescriptors eaten;
    refused = {RenameDurably(Path("a"), Path("c")),     SyncFolder(Path(".")),
               ReadFile(Path("a"), 9).status(),         OutputFile::Create(Path("d")).status(),
               FolderLock::Acquire(Path(".")).status(), WriteFileDurably(Path("e"), "x")};
    // What is open already is kept all the same.
    kept = open->Append("x");
    if (kept.ok()) kept = open->Sync();
  }
  EXPECT_THAT(kept, IsOk());
  for (const absl::Status& status : refused) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Too many open files")));
    EXPECT_TRUE(IsOutOfDescriptors(status));
    EXPECT_FALSE(IsSyncFailure(status));
    EXPECT_FALSE(IsDiskFull(status));
  }
  EXPECT_TRUE(FileExists(Path("a")));
  EXPECT_THAT(RenameDurably(Path("a"), Path("c")), IsOk());
}

}  // namespace
}  // namespace distillery
