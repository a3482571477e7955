#include "common/base/descriptor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

Descriptor OpenOne() { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

TEST(Descriptor, ClosesItselfOnceAndNotWhatItGaveAway) {
  int kept = -1;
  int closed = -1;
  {
    Descriptor first = OpenOne();
    closed = first.get();
    Descriptor second = std::move(first);
    EXPECT_FALSE(first.valid());  // NOLINT: moved from is empty
    EXPECT_EQ(second.get(), closed);
    Descriptor third = OpenOne();
    kept = third.Release();
  }
  EXPECT_EQ(fcntl(closed, F_GETFD), -1);
  EXPECT_NE(fcntl(kept, F_GETFD), -1);
  const Descriptor again(kept);
}

TEST(ReadAt, ReadsWhatIsThereAndSaysWhyItEnded) {
  const TemporaryFolder folder;
  ASSERT_THAT(WriteFileDurably(folder.File("file"), "0123456789"), IsOk());
  const Descriptor file(open(folder.File("file").c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(6, '-');
  ReadOutcome outcome = ReadAt(file.get(), 2, 6, bytes.data());
  EXPECT_EQ(outcome.bytes, 6);
  EXPECT_EQ(outcome.error_number, 0);
  EXPECT_EQ(bytes, "234567");
  outcome = ReadAt(file.get(), 7, 6, bytes.data());
  EXPECT_EQ(outcome.bytes, 3);
  EXPECT_EQ(outcome.error_number, 0);
  EXPECT_EQ(bytes, "789567");
  outcome = ReadAt(/*descriptor=*/-1, 0, 6, bytes.data());
  EXPECT_EQ(outcome.bytes, 0);
  EXPECT_EQ(outcome.error_number, EBADF);
}

TEST(FreeDescriptors, CountsWhatCanStillBeOpened) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  const int64_t free = FreeDescriptors(1000);
  EXPECT_EQ(FreeDescriptors(5), 5);
  std::vector<Descriptor> opened;
  for (Descriptor one = OpenOne(); one.valid(); one = OpenOne()) opened.push_back(std::move(one));
  EXPECT_EQ(static_cast<int64_t>(opened.size()), free);
  EXPECT_EQ(FreeDescriptors(1000), 0);
  opened.erase(opened.begin(), opened.begin() + 3);
  EXPECT_EQ(FreeDescriptors(1000), 3);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace distillery
