// Unary calls over gRPC: what each answers, and with which status.
#include "coordinator/rpc/coordinator_service.h"

#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/failpoint.h"
#include "coordinator/rpc/run_messages.h"
#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ControlCalls : public CoordinatorServiceTest {
 protected:
  absl::StatusOr<v1::SubmitRunResponse> SubmitOver(const std::string& request_id,
                                                   const RunSpec& spec) {
    v1::SubmitRunRequest request;
    request.set_request_id(request_id);
    *request.mutable_spec() = ToProto(spec);
    return Call(&Stub::SubmitRun, request);
  }
  absl::StatusOr<v1::GetRunResponse> GetOver(const std::string& run_id, bool rounds = false) {
    v1::GetRunRequest request;
    request.set_run_id(run_id);
    request.set_include_rounds(rounds);
    return Call(&Stub::GetRun, request);
  }
  absl::StatusOr<v1::ListRunsResponse> ListOver(int page_size, const std::string& token) {
    v1::ListRunsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    return Call(&Stub::ListRuns, request);
  }
  absl::StatusOr<v1::CancelRunResponse> CancelOver(const std::string& run_id) {
    v1::CancelRunRequest request;
    request.set_request_id(NewId());
    request.set_run_id(run_id);
    return Call(&Stub::CancelRun, request);
  }
  absl::StatusOr<v1::LeaseTaskResponse> LeaseOver(const std::string& request_id,
                                                  const std::string& worker_id, double wait = 0) {
    v1::LeaseTaskRequest request;
    request.set_request_id(request_id);
    request.set_worker_id(worker_id);
    request.set_max_wait_seconds(wait);
    return Call(&Stub::LeaseTask, request);
  }
  absl::StatusOr<v1::RenewLeaseResponse> RenewOver(const Lease& lease) {
    v1::RenewLeaseRequest request;
    *request.mutable_lease() = ToProto(lease);
    return Call(&Stub::RenewLease, request);
  }
  absl::StatusOr<v1::ReleaseTaskResponse> ReleaseOver(const Lease& lease,
                                                      v1::ReleaseReason reason) {
    v1::ReleaseTaskRequest request;
    request.set_request_id(NewId());
    *request.mutable_lease() = ToProto(lease);
    request.set_reason(reason);
    return Call(&Stub::ReleaseTask, request);
  }
};

TEST_F(ControlCalls, AnUnknownArchitectureIsRefusedWhoeverSubmitsIt) {
  RunSpec spec = SmallSpec();
  for (const auto& [architecture, said] :
       {std::pair("lennet", "did you mean \"lenet\"?"), std::pair("resnet21", "resnet20"),
        std::pair("mlp:64", "at least input and output size"),
        std::pair("lenet,dropuot=0.5", "did you mean \"dropout\"?")}) {
    spec.student.architecture = architecture;
    EXPECT_THAT(SubmitOver(NewId(), spec),
                StatusIs(kInvalid, AllOf(HasSubstr("student.architecture"), HasSubstr(said))));
  }
  EXPECT_THAT(*ListOver(0, ""), ::testing::Property(&v1::ListRunsResponse::runs_size, 0));
}

TEST_F(ControlCalls, WhatAClientLeavesUnsetIsTheDefaultAndNoOtherRun) {
  v1::SubmitRunRequest request;
  request.set_request_id("sparse");
  request.mutable_spec()->mutable_student()->set_architecture("mlp:64-10");
  request.mutable_spec()->mutable_training()->set_local_epochs(1);
  ASSERT_OK_AND_ASSIGN(const auto sparse, Call(&Stub::SubmitRun, request));
  RunSpec spec;
  spec.student.architecture = "mlp:64-10";
  spec.training.local_epochs = 1;
  EXPECT_EQ(sparse.run().spec().SerializeAsString(), ToProto(spec).SerializeAsString());
  // The same run said in full, under the same request.
  ASSERT_OK_AND_ASSIGN(const auto full, SubmitOver("sparse", spec));
  EXPECT_EQ(full.run().run_id(), sparse.run().run_id());
}

TEST_F(ControlCalls, Fault56_AReasonOnRecordThatWasCutInsideACharacterIsShown) {
  RunView view;
  view.row.state_reason = "cannot open \xe6\x97";
  v1::Run run;
  FillRun(view, &run);
  v1::Run read;
  ASSERT_TRUE(read.ParseFromString(run.SerializeAsString()));
  EXPECT_EQ(read.state_reason(), "cannot open \\xe6\\x97");
}

TEST_F(ControlCalls, Fault56_WhatAWorkerSaysIsShownWholeInEveryAnswer) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  std::string text = "a";
  while (text.size() < 1500) text += "\xe6\x97\xa5\n";
  v1::RenewLeaseRequest renew;
  *renew.mutable_lease() = ToProto(lease);
  renew.set_waiting_for(text);
  ASSERT_THAT(Call(&Stub::RenewLease, renew), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto got, GetOver(run_id));
  ASSERT_OK_AND_ASSIGN(const auto listed, ListOver(0, ""));
  for (const std::string& reason : {got.run().state_reason(), listed.runs(0).state_reason()}) {
    EXPECT_EQ(reason.substr(0, 6), "a\xe6\x97\xa5\\n");
    EXPECT_EQ(reason.find('\n'), std::string::npos);
  }
}

TEST_F(ControlCalls, SubmittedRunIsTheSameForTheSameRequest) {
  ASSERT_OK_AND_ASSIGN(const v1::SubmitRunResponse first, SubmitOver("once", SmallSpec()));
  ASSERT_OK_AND_ASSIGN(const v1::SubmitRunResponse second, SubmitOver("once", SmallSpec()));
  EXPECT_EQ(first.run().run_id(), second.run().run_id());
  EXPECT_EQ(first.run().state(), v1::RUN_STATE_PENDING);
  EXPECT_EQ(first.run().spec().SerializeAsString(), ToProto(SmallSpec()).SerializeAsString());
}

TEST_F(ControlCalls, InvalidSpecNamesItsField) {
  RunSpec spec = SmallSpec();
  spec.training.batch_size = 0;
  EXPECT_THAT(SubmitOver("r", spec), StatusIs(kInvalid, HasSubstr("training.batch_size")));
  EXPECT_THAT(Call(&Stub::SubmitRun, v1::SubmitRunRequest()), StatusIs(kInvalid));
}

TEST_F(ControlCalls, GetRunShowsItsRoundsIfAskedFor) {
  const std::string run_id = StartRun(SmallSpec());
  TrainRound();
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse plain, GetOver(run_id));
  EXPECT_EQ(plain.run().state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(plain.run().completed_round_count(), 1);
  EXPECT_EQ(plain.rounds_size(), 0);
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse full, GetOver(run_id, /*rounds=*/true));
  ASSERT_EQ(full.rounds_size(), 1);
  EXPECT_EQ(full.rounds(0).train().sample_count(), 200);  // two replicas of 100
  EXPECT_EQ(full.rounds(0).weights_sha256(), plain.run().weights_sha256());
  EXPECT_FALSE(full.rounds(0).has_evaluation());
}

TEST_F(ControlCalls, PagesOfRunsJoinWithoutGapOrRepeat) {
  std::vector<std::string> submitted;
  for (int i = 0; i < 5; ++i) submitted.insert(submitted.begin(), Submit(SmallSpec()));
  std::vector<std::string> listed;
  std::string token;
  int pages = 0;
  do {
    ASSERT_OK_AND_ASSIGN(const v1::ListRunsResponse page, ListOver(2, token));
    for (const v1::Run& run : page.runs()) listed.push_back(run.run_id());
    token = page.next_page_token();
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(listed, submitted);
  EXPECT_EQ(pages, 3);
}

TEST_F(ControlCalls, ListRunsRefusesPagesThatCannotBe) {
  EXPECT_THAT(ListOver(-1, ""), StatusIs(kInvalid, HasSubstr("page_size")));
  EXPECT_THAT(ListOver(1001, ""), StatusIs(kInvalid, HasSubstr("page_size")));
  for (const char* const token : {"x", "-1", "0", "1.5", "99999999999999999999"}) {
    EXPECT_THAT(ListOver(1, token), StatusIs(kInvalid, HasSubstr("page_token"))) << token;
  }
}

TEST_F(ControlCalls, CancelledRunStaysCancelled) {
  const std::string run_id = Submit(SmallSpec());
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK_AND_ASSIGN(const v1::CancelRunResponse response, CancelOver(run_id));
    EXPECT_EQ(response.run().state(), v1::RUN_STATE_CANCELLED);
  }
}

TEST_F(ControlCalls, UnknownRunsAreNotFound) {
  EXPECT_THAT(GetOver("nobody"), StatusIs(kNotFound));
  EXPECT_THAT(CancelOver("nobody"), StatusIs(kNotFound));
}

TEST_F(ControlCalls, WorkerRegistersLeasesRenewsAndReleases) {
  const std::string run_id = StartRun(SmallSpec());
  v1::RegisterWorkerRequest hello;
  hello.set_request_id("hello");
  hello.set_name("host-0");
  hello.set_numerics("fastest");
  ASSERT_OK_AND_ASSIGN(const v1::RegisterWorkerResponse worker, Call(&Stub::RegisterWorker, hello));
  EXPECT_EQ(worker.lease_duration_seconds(), 30);
  ASSERT_OK_AND_ASSIGN(const v1::LeaseTaskResponse task, LeaseOver("a", worker.worker_id()));
  EXPECT_EQ(task.lease().run_id(), run_id);
  EXPECT_EQ(task.lease().kind(), v1::TASK_KIND_TRAIN);
  EXPECT_EQ(task.weights_sha256(), Sha256Hex(ModelFile({1, 2})));
  EXPECT_EQ(task.lease_duration_seconds(), 30);
  EXPECT_EQ(task.spec().SerializeAsString(), ToProto(SmallSpec()).SerializeAsString());
  ASSERT_OK_AND_ASSIGN(const Lease lease, FromProto(task.lease()));
  EXPECT_THAT(RenewOver(lease), IsOk());
  EXPECT_THAT(ReleaseOver(lease, v1::RELEASE_REASON_STOPPING), IsOk());
  EXPECT_THAT(RenewOver(lease), StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(ReleaseOver(lease, v1::RELEASE_REASON_STOPPING),
              StatusIs(absl::StatusCode::kAborted));
}

TEST_F(ControlCalls, ReleaseWithoutAReasonIsRefused) {
  StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  EXPECT_THAT(ReleaseOver(lease, v1::RELEASE_REASON_UNSPECIFIED),
              StatusIs(kInvalid, HasSubstr("reason")));
  EXPECT_THAT(ReleaseOver(lease, static_cast<v1::ReleaseReason>(9)), StatusIs(kInvalid));
  EXPECT_THAT(RenewOver(lease), IsOk());
}

TEST_F(ControlCalls, AnotherWorkersLeaseIsDenied) {
  StartRun(SmallSpec());
  Lease lease = Take(Register()).lease;
  lease.worker_id = Register();
  const auto denied = StatusIs(absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(RenewOver(lease), denied);
  EXPECT_THAT(ReleaseOver(lease, v1::RELEASE_REASON_FAILED), denied);
}

TEST_F(ControlCalls, LeaseOfAnUnknownWorkerIsNotFound) {
  EXPECT_THAT(LeaseOver("r", "worker-0"), StatusIs(kNotFound, HasSubstr("register again")));
}

TEST_F(ControlCalls, WithoutATaskTheAnswerIsEmpty) {
  ASSERT_OK_AND_ASSIGN(const v1::LeaseTaskResponse response, LeaseOver("r", Register()));
  EXPECT_FALSE(response.has_lease());
}

TEST_F(ControlCalls, WaitingWorkerIsHandedTheTaskThatIsSubmitted) {
  coordinator_->Start();
  const std::string worker = Register();
  auto answer = std::async(std::launch::async, [&] { return LeaseOver("r", worker, 60); });
  // Whether the call or the run is there first, the task comes: the clock stands still, so the wait
  // cannot end without it.
  const std::string run_id = Submit(SmallSpec());
  ASSERT_OK_AND_ASSIGN(const v1::LeaseTaskResponse response, answer.get());
  EXPECT_EQ(response.lease().run_id(), run_id);
  EXPECT_EQ(response.lease().kind(), v1::TASK_KIND_INITIALISE);
}

TEST_F(ControlCalls, CancelEndsAWaitForATask) {
  grpc::ClientContext context;
  v1::LeaseTaskRequest request;
  request.set_request_id("r");
  request.set_worker_id(Register());
  request.set_max_wait_seconds(60);
  v1::LeaseTaskResponse response;
  auto answer = std::async(std::launch::async,
                           [&] { return stub_->LeaseTask(&context, request, &response); });
  context.TryCancel();
  EXPECT_EQ(answer.get().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ControlCalls, StoppingCoordinatorSaysWhenToTryAgain) {
  const std::string worker = Register();
  coordinator_->Close();
  grpc::ClientContext context;
  v1::LeaseTaskRequest request;
  request.set_request_id("r");
  request.set_worker_id(worker);
  v1::LeaseTaskResponse response;
  const grpc::Status status = stub_->LeaseTask(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_details(), HasSubstr("google.rpc.RetryInfo"));
}

TEST_F(ControlCalls, EvaluationIsReportedOnce) {
  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  TrainRound();
  const Lease lease = Take(Register()).lease;
  v1::ReportEvaluationRequest request;
  request.set_request_id("once");
  *request.mutable_lease() = ToProto(lease);
  *request.mutable_metrics() = ToProto(SomeEvaluation());
  ASSERT_OK_AND_ASSIGN(const auto first, Call(&Stub::ReportEvaluation, request));
  ASSERT_OK_AND_ASSIGN(const auto second, Call(&Stub::ReportEvaluation, request));
  EXPECT_FALSE(first.duplicate());
  EXPECT_TRUE(second.duplicate());
  ASSERT_OK_AND_ASSIGN(const v1::GetRunResponse run, GetOver(run_id));
  EXPECT_EQ(run.run().latest_evaluation().correct_count(), 300);
  EXPECT_EQ(run.run().latest_evaluation_round(), 1);
}

TEST_F(ControlCalls, Fault48_IdsThatAreNoNamesAreRefusedWithoutALocalPath) {
  StartRun(SmallSpec());
  const std::string worker = Register();
  const Lease good = Take(Register()).lease;
  for (const std::string& bad : {std::string("../../etc/passwd"), std::string(1 << 20, 'a'),
                                 std::string("a\0b", 3), std::string("\xC3\xA9"), std::string()}) {
    Lease lease = good;
    lease.task.run_id = bad;
    Lease foreign = good;
    foreign.worker_id = bad;
    v1::RegisterWorkerRequest hello;
    hello.set_request_id("hello");
    hello.set_name(bad);
    hello.set_numerics("fastest");
    for (const absl::Status& status :
         {GetOver(bad).status(), CancelOver(bad).status(), SubmitOver(bad, SmallSpec()).status(),
          LeaseOver(bad, worker).status(), LeaseOver("r", bad).status(), RenewOver(lease).status(),
          RenewOver(foreign).status(), ReleaseOver(lease, v1::RELEASE_REASON_FAILED).status(),
          Call(&Stub::RegisterWorker, hello).status()}) {
      EXPECT_THAT(status, StatusIs(kInvalid, Not(HasSubstr(folder_.path()))));
      EXPECT_LT(status.message().size(), 600) << "the message must not repeat a long id";
    }
  }
}

// Sends raw bytes as the request of a method.
grpc::Status CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::string& bytes) {
  grpc::ClientContext context;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  const std::string path = "/distillery.v1.CoordinatorService/" + method;
  const grpc::internal::RpcMethod rpc(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
  return grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
      channel.get(), rpc, &context, request, &response);
}

TEST_F(ControlCalls, Fault36_BytesThatAreNoMessageAreGrpcsOwnInternal) {
  for (const std::string method : {"SubmitRun", "GetRun", "ListRuns", "CancelRun", "RegisterWorker",
                                   "LeaseTask", "RenewLease", "ReleaseTask", "ReportEvaluation"}) {
    // Field 1 of 127 bytes, of which two come; and bytes that are no UTF-8 in a text field.
    EXPECT_EQ(CallRaw(channel_, method,
                      "\x0A\x7F"
                      "ab")
                  .error_code(),
              grpc::StatusCode::INTERNAL)
        << method;
  }
  EXPECT_EQ(CallRaw(channel_, "GetRun", "\x0A\x02\xFF\xFE").error_code(),
            grpc::StatusCode::INTERNAL);
  EXPECT_THAT(GetOver(Submit(SmallSpec())), IsOk());
}

TEST_F(ControlCalls, Fault37_MessageOverTheLimitIsRefusedAndTheConnectionGoesOn) {
  EXPECT_THAT(GetOver(std::string(kMaxMessageBytes, 'a')),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(GetOver(Submit(SmallSpec())), IsOk());
}

TEST_F(ControlCalls, ARenewalDoesNotQueueBehindCallsThatWaitForTheDisk) {
  constexpr int kCalls = 24;  // more than there are threads for them
  StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  ASSERT_THAT(ArmFailpoints("files.syncing=sleep:2000", ""), IsOk());
  std::atomic<int> answered = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back([&, request_id = NewId()] {
      v1::RegisterWorkerRequest request;
      request.set_request_id(request_id);
      request.set_name("host");
      request.set_numerics("fastest");
      EXPECT_THAT(Call(&Stub::RegisterWorker, request), IsOk());
      ++answered;
    });
  }
  absl::SleepFor(absl::Milliseconds(500));  // for all of them to be under way
  EXPECT_THAT(RenewOver(lease), IsOk());
  EXPECT_EQ(answered, 0) << "it came after one that waited for the disk";
  for (std::thread& caller : callers) caller.join();
  DisarmFailpoints();
}

}  // namespace
}  // namespace distillery
