#include "common/base/regular_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/input_file.h"
#include "common/base/text_file.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Everything that a name may stand for and that is no regular file.
class NoRegularFileTest : public ::testing::Test {
 protected:
  NoRegularFileTest() {
    EXPECT_EQ(mkfifo(folder_.File("pipe").c_str(), 0600), 0);
    EXPECT_EQ(mkdir(folder_.File("folder").c_str(), 0700), 0);
    EXPECT_EQ(symlink("absent", folder_.File("dangling").c_str()), 0);
    EXPECT_EQ(symlink("loop", folder_.File("loop").c_str()), 0);
    EXPECT_EQ(symlink("/dev/null", folder_.File("device").c_str()), 0);
    EXPECT_EQ(symlink("pipe", folder_.File("linked_pipe").c_str()), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = folder_.File("socket");
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ~NoRegularFileTest() override { close(socket_); }

  TemporaryFolder folder_;
  int socket_ = -1;
};

TEST_F(NoRegularFileTest, Fault67_EveryReaderNamesWhatItIsAndNoneWaits) {
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"pipe", "a named pipe"},     {"folder", "a folder"},
      {"device", "a device"},       {"dangling", "a link to a file that is not there"},
      {"loop", "a link to itself"}, {"linked_pipe", "a named pipe"},
      {"socket", "a socket"}};
  for (const auto& [name, what] : kinds) {
    const std::string path = folder_.File(name);
    const auto refused = StatusIs(
        kInvalid, AllOf(HasSubstr(path), HasSubstr("is " + what), HasSubstr("not a regular file")));
    struct stat info {};
    EXPECT_THAT(OpenRegularFile(path, &info), refused);
    EXPECT_THAT(ReadFile(path, 100), refused);
    EXPECT_THAT(ReadTextFile(path, 100), refused);
    EXPECT_THAT(InputFile::Open(path), refused);
    EXPECT_TRUE(NameIsTaken(path)) << name;
  }
}

TEST_F(NoRegularFileTest, RegularFilesAreReadThroughLinksToo) {
  ASSERT_THAT(WriteFileDurably(folder_.File("file"), "text"), IsOk());
  ASSERT_EQ(symlink("file", folder_.File("link").c_str()), 0);
  EXPECT_EQ(*ReadFile(folder_.File("link"), 100), "text");
  struct stat info {};
  EXPECT_THAT(OpenRegularFile(folder_.File("link"), &info), IsOk());
  EXPECT_EQ(info.st_size, 4);
}

TEST_F(NoRegularFileTest, WhatIsNotThereIsNotFound) {
  struct stat info {};
  EXPECT_THAT(OpenRegularFile(folder_.File("nothing"), &info),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("cannot open")));
  EXPECT_FALSE(NameIsTaken(folder_.File("nothing")));
}

TEST(ReadTextFile, TakesTheByteOrderMarkOfUtf8Away) {
  TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("a"), "\xEF\xBB\xBFone\n"), IsOk());
  EXPECT_EQ(*ReadTextFile(folder.File("a"), 100), "one\n");
  ASSERT_THAT(WriteFileDurably(folder.File("a"), "one\n"), IsOk());
  EXPECT_EQ(*ReadTextFile(folder.File("a"), 100), "one\n");
}

TEST(ReadTextFile, RefusesOtherEncodingsWithTheWayOut) {
  TemporaryFolder folder;
  for (const absl::string_view text :
       {absl::string_view("\xFF\xFE\x61\0", 4), absl::string_view("\xFE\xFF\0\x61", 4),
        absl::string_view("\0\0\xFE\xFF\0\0\0\x61", 8)}) {
    ASSERT_THAT(WriteFileDurably(folder.File("a"), text), IsOk());
    EXPECT_THAT(
        ReadTextFile(folder.File("a"), 100),
        StatusIs(kInvalid, AllOf(HasSubstr("/a is UTF-16"), HasSubstr("save it as UTF-8"))));
  }
}

}  // namespace
}  // namespace distillery
