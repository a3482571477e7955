#include "common/base/spool_file.h"

#include <sys/resource.h>

#include <csignal>

#include "common/base/files.h"
#include "common/base/input_file.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SpoolFile, GivesBackWhatWasWrittenAndLeavesNoName) {
  const TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(SpoolFile spool, SpoolFile::Create(8, folder.path()));
  ASSERT_THAT(spool.WriteAt(4, "5678"), IsOk());
  ASSERT_THAT(spool.WriteAt(0, "1234"), IsOk());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  const InputFile file("spool", std::move(spool).Release());
  std::string bytes(8, '\0');
  ASSERT_THAT(file.ReadAt(0, 8, bytes.data()), IsOk());
  EXPECT_EQ(bytes, "12345678");
}

// The limit on the size of a file stands for a full disk: both refuse the next byte.
TEST(SpoolFile, NoRoomIsResourceExhaustedWithTheWayOut) {
  const TemporaryFolder folder;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &small);
  const absl::Status reserved = SpoolFile::Create(5000, folder.path()).status();
  absl::StatusOr<SpoolFile> spool = SpoolFile::Create(0, folder.path());
  const absl::Status written =
      spool.ok() ? spool->WriteAt(0, std::string(5000, 'x')) : spool.status();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(reserved, StatusIs(absl::StatusCode::kResourceExhausted,
                                 AllOf(HasSubstr("5000 bytes"), HasSubstr("set TMPDIR"),
                                       Not(HasSubstr(folder.path())))));
  EXPECT_THAT(written, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("set TMPDIR")));
}

TEST(SpoolFile, FolderThatIsNotThereIsToldWithTheWayOut) {
  EXPECT_THAT(SpoolFile::Create(1, "/nonexistent").status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("set TMPDIR")));
}

}  // namespace
}  // namespace distillery
