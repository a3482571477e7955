#include "common/security/worker_list.h"

#include "common/base/files.h"
#include "tests/common/log_lines.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class WorkerListTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) {
    ASSERT_THAT(WriteFileDurably(folder_.File("workers"), text), IsOk());
  }
  std::unique_ptr<WorkerList> Open() {
    auto list = WorkerList::Open(folder_.File("workers"), &clock_);
    EXPECT_THAT(list, IsOk());
    return *std::move(list);
  }
  TemporaryFolder folder_;
  FakeClock clock_;
};

TEST_F(WorkerListTest, IsOneNameALine) {
  ASSERT_OK_AND_ASSIGN(const std::set<std::string> workers,
                       ParseWorkerList("# the lab\nworker-1\r\n\n  worker-2  # Ada's\n#worker-3"));
  EXPECT_THAT(workers, ElementsAre("worker-1", "worker-2"));
  EXPECT_THAT(ParseWorkerList("a\nb c\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2")));
}

TEST_F(WorkerListTest, Fault47_WhoIsNotOnItIsToldWhatToAddWhereAndNoPath) {
  Write("worker-1\n");
  const auto list = Open();
  EXPECT_THAT(list->Check("worker-1"), IsOk());
  EXPECT_THAT(
      list->Check("worker-2"),
      StatusIs(absl::StatusCode::kPermissionDenied,
               AllOf(HasSubstr("worker \"worker-2\" is not on"), HasSubstr("add the line worker-2"),
                     HasSubstr("--allowed-workers"), Not(HasSubstr(folder_.path())))));
}

TEST_F(WorkerListTest, IsReadAnewWhenItChanges) {
  Write("worker-1\n");
  const auto list = Open();
  Write("worker-2\n");
  EXPECT_THAT(list->Check("worker-2"), StatusIs(absl::StatusCode::kPermissionDenied));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(list->Check("worker-2"), IsOk());
  EXPECT_THAT(list->Check("worker-1"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(WorkerListTest, ThatIsBrokenOrGoneLeavesTheOldOneAndOneWarning) {
  Write("worker-1\n");
  const auto list = Open();
  LogLines lines;
  Write("worker 1\n");
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(1));
    EXPECT_THAT(list->Check("worker-1"), IsOk());
  }
  EXPECT_THAT(lines.Of("warning"), ElementsAre(HasSubstr("line 1")));
  ASSERT_THAT(RemoveFile(folder_.File("workers")), IsOk());
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(1));
    EXPECT_THAT(list->Check("worker-1"), IsOk());
  }
  EXPECT_EQ(lines.Of("warning").size(), 2);
  Write("worker-2\n");
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(list->Check("worker-2"), IsOk());
}

TEST_F(WorkerListTest, ThatIsMissingAtTheStartIsAnError) {
  EXPECT_THAT(WorkerList::Open(folder_.File("none"), &clock_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

}  // namespace
}  // namespace distillery
