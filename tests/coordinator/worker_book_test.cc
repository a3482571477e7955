// Workers come and go for years: finding one takes no longer for it, and no more are remembered
// than a number.
#include "coordinator/worker_book.h"

#include "tests/common/cpu_seconds.h"
#include "tests/coordinator/fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

WorkerRow NumberedRow(int number) {
  WorkerRow row;
  row.worker_id = absl::StrCat("worker-", number);
  row.request_id = absl::StrCat("request-", number);
  row.name = "host";
  row.registered_unix_seconds = number;
  return row;
}

TEST(WorkerBook, FindsWorkersByIdAndByRequest) {
  WorkerBook book;
  for (int i = 0; i < 3; ++i) book.Add(NumberedRow(i), absl::Seconds(i));
  WorkerRow second = NumberedRow(1);
  second.worker_id = "worker-with-certificate";
  book.Add(second, absl::Seconds(9));
  EXPECT_EQ(book.Find("worker-2")->row.request_id, "request-2");
  EXPECT_EQ(book.Find("worker-9"), nullptr);
  EXPECT_EQ(book.OfRequest("request-1").size(), 2);
  EXPECT_TRUE(book.OfRequest("request-9").empty());
  book.Remove("worker-1");
  ASSERT_EQ(book.OfRequest("request-1").size(), 1);
  EXPECT_EQ(book.OfRequest("request-1")[0]->row.worker_id, "worker-with-certificate");
  book.Remove("worker-1");
  EXPECT_EQ(book.size(), 3);
}

TEST(WorkerBook, KnowsWhoWasHeardOfAndWhoIsSilentForLongest) {
  WorkerBook book;
  // After a start nobody has been heard of: the oldest registration comes first.
  for (int i = 4; i >= 0; --i) book.Add(NumberedRow(i), -absl::InfiniteDuration());
  EXPECT_EQ(book.MostSilent().row.worker_id, "worker-0");
  book.Touch(book.Find("worker-0"), absl::Seconds(10));
  book.Touch(book.Find("worker-3"), absl::Seconds(20));
  EXPECT_EQ(book.MostSilent().row.worker_id, "worker-1");
  EXPECT_EQ(book.CountHeardSince(absl::Seconds(10)), 2);
  EXPECT_EQ(book.CountHeardSince(absl::Seconds(11)), 1);
  ASSERT_EQ(book.HeardSince(absl::Seconds(11)).size(), 1);
  EXPECT_EQ(book.HeardSince(absl::Seconds(11))[0]->row.worker_id, "worker-3");
  EXPECT_EQ(book.CountHeardSince(absl::Seconds(21)), 0);
}

class ManyWorkers : public CoordinatorTest {
 protected:
  absl::StatusOr<WorkerRow> RegisterAs(const std::string& request_id) {
    return coordinator_->leases().Register(request_id, "host", "avx2", "fastest");
  }
};

TEST_F(ManyWorkers, TheLongestSilentAreForgottenAndThoseWhoAreAliveAreNot) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string old = Register();
  clock_.Advance(absl::Minutes(5));
  const std::string worker = Register();
  const Lease lease = Take(worker).lease;
  for (size_t i = 0; i < WorkerBook::kMost + 10; ++i) {
    // The fleet is restarted again and again; this worker works on.
    if (i % 100 == 0) {
      clock_.Advance(absl::Seconds(20));
      ASSERT_THAT(coordinator_->leases().Renew(lease, static_cast<int64_t>(i), ""), IsOk());
    }
    ASSERT_THAT(RegisterAs(absl::StrCat("again-", i)), IsOk());
  }
  EXPECT_EQ(coordinator_->gauges().known_workers, static_cast<int64_t>(WorkerBook::kMost));
  EXPECT_THAT(Ask(old), StatusIs(absl::StatusCode::kNotFound, HasSubstr("register again")));
  EXPECT_THAT(coordinator_->leases().Renew(lease, 1'000'000, ""), IsOk());
  EXPECT_EQ(RegisterAs("again-8000")->request_id, "again-8000");
  Reopen();
  EXPECT_EQ(coordinator_->gauges().known_workers, static_cast<int64_t>(WorkerBook::kMost))
      << "what is forgotten is not in the record either";
  EXPECT_THAT(coordinator_->leases().Renew(lease, 1'000'001, ""), IsOk());
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(ManyWorkers, AFloodOfRegistrationsEndsAtTheLimitAndHarmsNobody) {
  StartRun(SmallSpec());
  const std::string worker = Register();
  const Lease lease = Take(worker).lease;
  absl::Status refused;
  for (size_t i = 0; refused.ok() && i < 2 * WorkerBook::kMost; ++i) {
    refused = RegisterAs(absl::StrCat("flood-", i)).status();
  }
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("alive")));
  EXPECT_EQ(coordinator_->gauges().known_workers, static_cast<int64_t>(WorkerBook::kMost));
  EXPECT_THAT(coordinator_->leases().Renew(lease, 1, ""), IsOk());
  EXPECT_THAT(RegisterAs("flood-0"), IsOk()) << "the same request gives the same worker";
  // They fall silent, and others may come.
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  EXPECT_THAT(RegisterAs("honest"), IsOk());
}

TEST_F(ManyWorkers, ARegistrationTakesNoLongerAmongManyThanAmongFew) {
  const auto seconds = [this](const std::string& prefix) {
    int batch = 0;
    return CpuSeconds(5, [&] {
      ++batch;
      for (int i = 0; i < 200; ++i) {
        EXPECT_THAT(RegisterAs(absl::StrCat(prefix, "-", batch, "-", i)), IsOk());
        EXPECT_THAT(RegisterAs(absl::StrCat(prefix, "-", batch, "-0")), IsOk());
      }
    });
  };
  const double few = seconds("few");
  for (int i = 0; i < 5000; ++i) ASSERT_THAT(RegisterAs(absl::StrCat("many-", i)), IsOk());
  // It took 1 ms more of processor time for each 6,000 workers that there had ever been.
  EXPECT_LT(seconds("later"), 3 * few);
}

}  // namespace
}  // namespace distillery
