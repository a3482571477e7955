// What ListLeases tells of the past of a run's tasks.
#include <gmock/gmock.h>

#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LeaseHistory : public CoordinatorServiceTest {
 protected:
  absl::StatusOr<v1::ListLeasesResponse> List(const std::string& run_id, int page_size = 0,
                                              const std::string& token = "") {
    v1::ListLeasesRequest request;
    request.set_run_id(run_id);
    request.set_page_size(page_size);
    request.set_page_token(token);
    return Call(&Stub::ListLeases, request);
  }
  // "train 0 1 done" of each lease.
  static std::vector<std::string> Lines(const v1::ListLeasesResponse& response) {
    std::vector<std::string> lines;
    for (const v1::LeaseRecord& record : response.leases()) {
      lines.push_back(absl::StrCat(TaskKindName(static_cast<TaskKind>(record.lease().kind())), " ",
                                   record.lease().round(), " ", record.lease().replica(), " ",
                                   record.outcome()));
    }
    return lines;
  }
};

TEST_F(LeaseHistory, TellsWhatWasLostAndDoneAgain) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease lost = Take(Register()).lease;
  clock_.Advance(absl::Seconds(31));
  coordinator_->Tick();
  TrainRound();
  const std::string other = Submit(SmallSpec());
  ASSERT_OK_AND_ASSIGN(const v1::ListLeasesResponse answer, List(run_id));
  EXPECT_THAT(Lines(answer), ElementsAre("initialise 0 0 done", "train 0 0 expired",
                                         "train 0 0 done", "train 0 1 done"));
  const v1::LeaseRecord& expired = answer.leases(1);
  EXPECT_EQ(expired.lease().fencing_token(), lost.fencing_token);
  EXPECT_EQ(expired.lease().worker_id(), lost.worker_id);
  EXPECT_EQ(expired.worker_name(), "host");
  EXPECT_NEAR(expired.ended_unix_seconds() - expired.granted_unix_seconds(), 31, 1e-3);
  EXPECT_FALSE(expired.has_train());
  EXPECT_FALSE(answer.leases(0).has_train());
  EXPECT_EQ(answer.leases(2).train().sample_count(), 100);
  EXPECT_EQ(answer.next_page_token(), "");
  ASSERT_OK_AND_ASSIGN(const v1::ListLeasesResponse nothing, List(other));
  EXPECT_EQ(nothing.leases_size(), 0);
}

TEST_F(LeaseHistory, ComesInPages) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  const Lease active = Take(Register()).lease;
  std::vector<std::string> lines;
  std::string token;
  int pages = 0;
  do {
    ASSERT_OK_AND_ASSIGN(const v1::ListLeasesResponse page, List(run_id, 2, token));
    for (const std::string& line : Lines(page)) lines.push_back(line);
    token = page.next_page_token();
    ++pages;
  } while (!token.empty());
  EXPECT_THAT(lines, ElementsAre("initialise 0 0 done", "train 0 0 done", "train 0 1 done",
                                 "train 1 0 active"));
  EXPECT_EQ(pages, 3);  // the last one is empty: 4 leases fill two
  EXPECT_THAT(List("nobody"), StatusIs(absl::StatusCode::kNotFound));
  for (const char* const bad : {"x", "-1", "0"}) {
    EXPECT_THAT(List(run_id, 1, bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token")));
  }
  EXPECT_THAT(List(run_id, 1001),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_size")));
}

}  // namespace
}  // namespace distillery
