#include "student_worker/rpc/task_lease.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "tests/common/status_matchers.h"

namespace distillery {
namespace {

class TaskLeaseTest : public ::testing::Test {
 protected:
  // Its first renewal would be in a third of this.
  TaskLeaseTest() { task_.lease_duration = absl::Hours(1); }

  CallCanceller canceller_;
  // Nobody listens there, and nothing here asks it.
  CoordinatorClient coordinator_{
      grpc::CreateChannel("127.0.0.1:1", grpc::InsecureChannelCredentials()), &canceller_};
  WorkerTask task_;
};

// gRPC ends the calls that a server still has when it stops with CANCELLED: a coordinator that is
// restarted is no failure of the task.
TEST_F(TaskLeaseTest, Fault69_ACallThatACoordinatorCancelsAsItStopsIsMadeAgain) {
  TaskLease lease(task_, &coordinator_);
  std::vector<bool> calls;
  EXPECT_THAT(lease.Persist([&](bool again) {
    calls.push_back(again);
    if (calls.size() == 1) return absl::CancelledError("");
    if (calls.size() == 2) return absl::UnavailableError("stopping");
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_EQ(calls, (std::vector<bool>{false, true, true}));
}

TEST_F(TaskLeaseTest, ATaskThatIsCancelledAsksNoMore) {
  TaskLease lease(task_, &coordinator_);
  int calls = 0;
  EXPECT_THAT(lease.Persist([&](bool /*again*/) {
    ++calls;
    lease.Stop();
    return absl::CancelledError("");
  }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(calls, 1);
}

TEST_F(TaskLeaseTest, WhatDoesNotPassIsAnError) {
  TaskLease lease(task_, &coordinator_);
  EXPECT_THAT(lease.Persist([](bool /*again*/) { return absl::InvalidArgumentError("no"); }),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distillery
