// Runs watched over gRPC.
#include "coordinator/rpc/run_watch.h"

#include <thread>

#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

class Watches : public CoordinatorServiceTest {
 protected:
  std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>> Watch(const std::string& run_id) {
    v1::WatchRunRequest request;
    request.set_run_id(run_id);
    return stub_->WatchRun(&context_, request);
  }
  grpc::ClientContext context_;
};

TEST_F(Watches, PresentStateComesFirstAndTheEndLast) {
  const std::string run_id = Submit(SmallSpec());
  const auto watch = Watch(run_id);
  v1::WatchRunResponse message;
  ASSERT_TRUE(watch->Read(&message));
  EXPECT_EQ(message.run().state(), v1::RUN_STATE_PENDING);
  ASSERT_THAT(Send(Take(Register()).lease, ModelFile({1, 2})), IsOk());
  coordinator_->Tick();
  ASSERT_TRUE(watch->Read(&message));
  EXPECT_EQ(message.run().state(), v1::RUN_STATE_RUNNING);
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  coordinator_->Tick();
  ASSERT_TRUE(watch->Read(&message));
  EXPECT_EQ(message.run().state(), v1::RUN_STATE_CANCELLED);
  EXPECT_FALSE(watch->Read(&message));
  EXPECT_THAT(FromGrpcStatus(watch->Finish()), IsOk());
}

TEST_F(Watches, RunThatHasEndedIsShownOnce) {
  const std::string run_id = Submit(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  const auto watch = Watch(run_id);
  v1::WatchRunResponse message;
  ASSERT_TRUE(watch->Read(&message));
  EXPECT_EQ(message.run().state(), v1::RUN_STATE_CANCELLED);
  EXPECT_FALSE(watch->Read(&message));
  EXPECT_THAT(FromGrpcStatus(watch->Finish()), IsOk());
}

TEST_F(Watches, UnknownRunIsNotFound) {
  const auto watch = Watch("nobody");
  v1::WatchRunResponse message;
  EXPECT_FALSE(watch->Read(&message));
  EXPECT_THAT(FromGrpcStatus(watch->Finish()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(Watches, StoppingCoordinatorEndsThemUnavailable) {
  const auto watch = Watch(Submit(SmallSpec()));
  v1::WatchRunResponse message;
  ASSERT_TRUE(watch->Read(&message));
  coordinator_->Close();
  while (watch->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(watch->Finish()), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(Watches, Fault63_WhatNobodyReadsIsEnded) {
  const std::string run_id = Submit(SmallSpec());
  const auto watch = Watch(run_id);
  while (coordinator_->gauges().watchers == 0) std::this_thread::yield();
  service_.EndIdleStreams();
  EXPECT_EQ(coordinator_->gauges().watchers, 1);
  while (coordinator_->gauges().watchers > 0) {
    // What was sent may still be on its way to the client, which holds one message unread.
    clock_.Advance(absl::Seconds(61));
    ASSERT_THAT(coordinator_->runs().Pause(run_id), IsOk());
    coordinator_->Tick();
    ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
    coordinator_->Tick();
    service_.EndIdleStreams();
  }
  v1::WatchRunResponse message;
  while (watch->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(watch->Finish()), IsIdleEnd());
}

TEST_F(Watches, Fault63_12000OfOneClientAreRefusedBeyondItsQuota) {
  const std::string run_id = Submit(SmallSpec());
  v1::WatchRunRequest request;
  request.set_run_id(run_id);
  struct Open {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchRunResponse>> reader;
  };
  std::vector<std::unique_ptr<Open>> held;
  int refused = 0;
  for (int i = 0; i < 12'000; ++i) {
    auto open = std::make_unique<Open>();
    open->reader = stub_->WatchRun(&open->context, request);
    v1::WatchRunResponse message;
    if (open->reader->Read(&message)) {
      held.push_back(std::move(open));
      continue;
    }
    ++refused;
    ASSERT_THAT(FromGrpcStatus(open->reader->Finish()),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("this client has 1024 watches open, at most 1024 "
                                   "(--max-streams-per-client); end some first")));
  }
  EXPECT_EQ(refused, 12'000 - 1024);
  for (const auto& open : held) open->context.TryCancel();
  for (const auto& open : held) open->reader->Finish();
  while (coordinator_->gauges().watchers > 0) std::this_thread::yield();
}

// A refusal that is cancelled before it is on the wire ended the process: both finished the call.
TEST_F(Watches, Fault63_RefusalsThatAreCancelledAtOnceEndNothing) {
  v1::WatchRunRequest request;
  request.set_run_id("no-such-run");
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        grpc::ClientContext context;
        const auto reader = stub_->WatchRun(&context, request);
        context.TryCancel();
        reader->Finish();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  v1::WatchRunResponse message;
  grpc::ClientContext context;
  const auto reader = stub_->WatchRun(&context, request);
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(Watches, WatcherThatGoesAwayIsForgotten) {
  const std::string run_id = Submit(SmallSpec());
  {
    const auto watch = Watch(run_id);
    v1::WatchRunResponse message;
    ASSERT_TRUE(watch->Read(&message));
    context_.TryCancel();
    EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  coordinator_->Tick();
  EXPECT_EQ(Run(run_id).row.state, RunState::kCancelled);
}

}  // namespace
}  // namespace distillery
