// ModelInfer requests that wait for the device: batches, deadlines, clients that go away.
#include <thread>

#include "absl/time/clock.h"
#include "tests/teacher_service/rpc/inference_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

TEST(InferenceBatching, SingleRowsOfManyCallersShareForwardPasses) {
  constexpr int64_t kCallers = 64;
  InferenceServer server;
  FakeTeacherProbe probe;
  // The first pass lasts until all others wait.
  probe.before = [&](int64_t call) {
    if (call == 0) server.AwaitQueuedRows(kCallers - probe.rows.load());
    return absl::OkStatus();
  };
  server.Load("first", &probe);
  std::vector<std::thread> callers;
  for (int64_t i = 0; i < kCallers; ++i) {
    callers.emplace_back([&server, i] {
      inference::ModelInferRequest request = InferenceRequestFor(1, "FP32");
      const std::vector<float> pixels(kFakePixels, static_cast<float>(i) / 64);
      request.add_raw_input_contents(pixels.data(), pixels.size() * sizeof(float));
      inference::ModelInferResponse response;
      ASSERT_THAT(server.Infer(request, &response), IsOk());
      // Class 0: a tenth of the sum of 64 pixels, and up to 0.25 for the place in the batch. So
      // each caller got its own row.
      EXPECT_NEAR(RawOutput(response, "soft_targets")[0], 0.1 * static_cast<double>(i) + 0.125,
                  0.13)
          << i;
    });
  }
  for (std::thread& caller : callers) caller.join();
  const inference::ModelStatistics statistics = server.Statistics("first");
  EXPECT_EQ(statistics.inference_count(), 64U);
  // One, if all have queued before the device's thread looks for the first time.
  EXPECT_LE(statistics.execution_count(), 2U);
  EXPECT_EQ(statistics.execution_count(), static_cast<uint64_t>(probe.calls.load()));
  uint64_t passes = 0;
  uint64_t rows = 0;
  for (const inference::InferBatchStatistics& batch : statistics.batch_stats()) {
    passes += batch.compute_infer().count();
    rows += batch.compute_infer().count() * batch.batch_size();
  }
  EXPECT_EQ(passes, statistics.execution_count());
  EXPECT_EQ(rows, statistics.inference_count());
}

// The first call stands at the gate, on the device; the clock is a fake.
class InferenceWaiting : public ::testing::Test {
 protected:
  InferenceWaiting() : server_(&clock_) {
    probe_.before = [this](int64_t call) {
      if (call == 0) gate_.Pass();
      return absl::OkStatus();
    };
    server_.Load("first", &probe_);
    busy_ = std::thread([this] {
      inference::ModelInferResponse response;
      EXPECT_THAT(server_.Infer(RawRequest(), &response), IsOk());
    });
    gate_.AwaitArrival();
  }
  ~InferenceWaiting() override {
    gate_.Open();
    busy_.join();
  }
  // Sends a request that waits behind the gate, lets `wait` pass on the clock, then opens.
  absl::Status InferAfter(absl::Duration wait, const inference::ModelInferRequest& request) {
    absl::Status status;
    std::thread waiting([&] {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
      inference::ModelInferResponse response;
      status = FromGrpcStatus(server_.stub().ModelInfer(&context, request, &response));
    });
    server_.AwaitQueuedRows(2);
    clock_.Advance(wait);
    gate_.Open();
    waiting.join();
    return status;
  }
  // In real time, so that the client itself does not end the call.
  static constexpr absl::Duration kDeadline = absl::Minutes(10);
  FakeClock clock_;
  Gate gate_;
  FakeTeacherProbe probe_;
  InferenceServer server_;
  std::thread busy_;
};

TEST_F(InferenceWaiting, Fault24_WorkPastTheCallsDeadlineIsDroppedBeforeTheDevice) {
  EXPECT_THAT(InferAfter(kDeadline + absl::Seconds(1), RawRequest()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("while the query waited")));
  EXPECT_EQ(probe_.calls.load(), 1);
  EXPECT_EQ(server_.Statistics("first").inference_stats().fail().count(), 1U);
}

TEST_F(InferenceWaiting, WorkBeforeTheCallsDeadlineIsDone) {
  EXPECT_THAT(InferAfter(kDeadline - absl::Minutes(1), RawRequest()), IsOk());
  EXPECT_EQ(probe_.calls.load(), 2);
}

TEST_F(InferenceWaiting, ATimeoutInMicrosecondsEndsTheWaitEarlier) {
  inference::ModelInferRequest request = RawRequest();
  Parameter(request, "timeout").set_int64_param(999'999);
  EXPECT_THAT(InferAfter(absl::Seconds(1), request),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("while the query waited")));
  EXPECT_EQ(probe_.calls.load(), 1);
}

TEST_F(InferenceWaiting, ATimeoutThatHasNotPassedChangesNothing) {
  inference::ModelInferRequest request = RawRequest();
  Parameter(request, "timeout").set_string_param("1000001");
  EXPECT_THAT(InferAfter(absl::Seconds(1), request), IsOk());
  EXPECT_EQ(probe_.calls.load(), 2);
}

TEST_F(InferenceWaiting, DrainingEndsWhatWaits) {
  absl::Status status;
  std::thread waiting([&] {
    inference::ModelInferResponse response;
    status = server_.Infer(RawRequest(), &response);
  });
  server_.AwaitQueuedRows(2);
  std::thread closing([&] { server_.host().Close(); });
  waiting.join();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  gate_.Open();
  closing.join();
}

// The news of a cancel may lag behind the client's own answer, so one of several tries is asked
// for.
TEST(InferenceCancel, ARequestWhoseClientWentAwayIsDroppedBeforeTheDevice) {
  bool dropped = false;
  for (int i = 0; i < 100 && !dropped; ++i) {
    InferenceServer server;
    Gate gate;
    FakeTeacherProbe probe;
    probe.before = [&](int64_t call) {
      if (call == 0) gate.Pass();
      return absl::OkStatus();
    };
    server.Load("first", &probe);
    std::thread busy([&] {
      inference::ModelInferResponse response;
      EXPECT_THAT(server.Infer(RawRequest(), &response), IsOk());
    });
    gate.AwaitArrival();
    grpc::ClientContext context;
    std::thread leaving([&] {
      inference::ModelInferResponse response;
      EXPECT_EQ(server.stub().ModelInfer(&context, RawRequest(), &response).error_code(),
                grpc::StatusCode::CANCELLED);
    });
    server.AwaitQueuedRows(2);
    context.TryCancel();
    leaving.join();
    inference::ServerLiveResponse live;
    EXPECT_THAT(server.Call(&InferenceStub::ServerLive, inference::ServerLiveRequest(), &live),
                IsOk());
    gate.Open();
    busy.join();
    // A last call comes after the one that was left.
    inference::ModelInferResponse response;
    EXPECT_THAT(server.Infer(RawRequest(), &response), IsOk());
    dropped = probe.rows.load() == 4;  // two calls of two rows
  }
  EXPECT_TRUE(dropped);
}

}  // namespace
}  // namespace distillery
