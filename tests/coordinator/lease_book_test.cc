#include "coordinator/lease_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace distillery {
namespace {

using ::testing::ElementsAre;

constexpr absl::Duration kStart = absl::Seconds(1000);

LeaseRow RowOf(int64_t token, const std::string& worker, const std::string& run = "run") {
  LeaseRow row;
  row.lease = {TaskId{run, TaskKind::kTrain, 0, token}, token, worker};
  return row;
}

std::vector<int64_t> Tokens(const std::vector<LeaseRow>& rows) {
  std::vector<int64_t> tokens;
  for (const LeaseRow& row : rows) tokens.push_back(row.lease.fencing_token);
  return tokens;
}

TEST(LeaseBook, TokensRiseAndSkipThoseOfBefore) {
  LeaseBook book(absl::Seconds(30));
  EXPECT_EQ(book.NextToken(), 1);
  book.SkipTokens(41);
  EXPECT_EQ(book.NextToken(), 42);
  book.SkipTokens(7);
  EXPECT_EQ(book.NextToken(), 43);
}

TEST(LeaseBook, LeaseExpiresAtItsDeadlineAndNotBefore) {
  LeaseBook book(absl::Seconds(30));
  book.Add(RowOf(1, "a"), kStart);
  EXPECT_EQ(book.NextDeadline(), kStart + absl::Seconds(30));
  EXPECT_THAT(book.Expired(kStart + absl::Seconds(30) - absl::Nanoseconds(1)), ElementsAre());
  EXPECT_THAT(Tokens(book.Expired(kStart + absl::Seconds(30))), ElementsAre(1));
}

TEST(LeaseBook, RenewalMovesTheDeadlineFromNow) {
  LeaseBook book(absl::Seconds(30));
  book.Add(RowOf(1, "a"), kStart);
  book.Renew(1, 0, false, kStart + absl::Seconds(20));
  EXPECT_THAT(book.Expired(kStart + absl::Seconds(49)), ElementsAre());
  EXPECT_THAT(Tokens(book.Expired(kStart + absl::Seconds(50))), ElementsAre(1));
}

TEST(LeaseBook, ExpiredLeasesComeOldestTokenFirst) {
  LeaseBook book(absl::Seconds(30));
  book.Add(RowOf(3, "c"), kStart);
  book.Add(RowOf(1, "a"), kStart);
  book.Add(RowOf(2, "b"), kStart + absl::Seconds(5));
  EXPECT_THAT(Tokens(book.Expired(kStart + absl::Seconds(30))), ElementsAre(1, 3));
}

TEST(LeaseBook, ALookThatFindsNoneDueMovesOnToTheNextThatCanBe) {
  LeaseBook book(absl::Seconds(30));
  book.Add(RowOf(1, "a"), kStart);
  book.Add(RowOf(2, "b"), kStart + absl::Seconds(5));
  book.Renew(1, 0, false, kStart + absl::Seconds(20));
  EXPECT_THAT(book.Expired(kStart + absl::Seconds(30)), ElementsAre());
  EXPECT_EQ(book.NextDeadline(), kStart + absl::Seconds(35));
  EXPECT_THAT(Tokens(book.Expired(kStart + absl::Seconds(35))), ElementsAre(2));
  book.Remove(2);
  EXPECT_THAT(Tokens(book.Expired(kStart + absl::Seconds(50))), ElementsAre(1));
}

TEST(LeaseBook, WhatDoesNotGetOnIsFoundAfterLooksThatFoundNothing) {
  LeaseBook book(absl::Seconds(30));
  const absl::Duration limit = absl::Seconds(60);
  book.Add(RowOf(1, "a"), kStart);
  book.Add(RowOf(2, "b"), kStart);
  book.Renew(1, 5, false, kStart + absl::Seconds(40));
  book.Renew(2, 0, true, kStart + absl::Seconds(10));
  EXPECT_THAT(book.Stalled(limit, kStart + absl::Seconds(60)), ElementsAre());
  EXPECT_THAT(Tokens(book.Stalled(limit, kStart + absl::Seconds(70))), ElementsAre(2));
  EXPECT_THAT(Tokens(book.Stalled(limit, kStart + absl::Seconds(100))), ElementsAre(1, 2));
}

TEST(LeaseBook, TheOldestLeaseOfARun) {
  LeaseBook book(absl::Seconds(30));
  EXPECT_EQ(book.OldestOfRun("run", kStart), -absl::InfiniteDuration());
  book.Add(RowOf(1, "a"), kStart);
  book.Add(RowOf(2, "b"), kStart + absl::Seconds(5));
  EXPECT_EQ(book.OldestOfRun("run", kStart + absl::Seconds(9)), absl::Seconds(9));
  book.Remove(1);
  EXPECT_EQ(book.OldestOfRun("run", kStart + absl::Seconds(9)), absl::Seconds(4));
}

TEST(LeaseBook, FindsByTokenByWorkerAndByRun) {
  LeaseBook book(absl::Seconds(30));
  book.Add(RowOf(1, "a", "x"), kStart);
  book.Add(RowOf(2, "b", "y"), kStart);
  EXPECT_EQ(book.Find(1)->lease.worker_id, "a");
  EXPECT_EQ(book.FindByWorker("b")->lease.fencing_token, 2);
  EXPECT_EQ(book.FindByWorker("c"), nullptr);
  EXPECT_EQ(book.CountOfRun("y"), 1);
  EXPECT_THAT(Tokens(book.OfRun("x")), ElementsAre(1));
  book.Remove(1);
  EXPECT_EQ(book.Find(1), nullptr);
  EXPECT_EQ(book.CountOfRun("x"), 0);
}

TEST(LeaseBook, WithoutLeasesThereIsNoDeadline) {
  EXPECT_EQ(LeaseBook(absl::Seconds(30)).NextDeadline(), absl::InfiniteDuration());
}

}  // namespace
}  // namespace distillery
