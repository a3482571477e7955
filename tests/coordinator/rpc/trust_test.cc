// Faults 60 and 66: a worker is who its certificate says, what is listed lets nobody act, and an id
// that was used for one request is not good for another.
#include "common/rpc/proto_conversion.h"
#include "common/rpc/transport.h"
#include "coordinator/offline/state_export.h"
#include "nlohmann/json.hpp"
#include "tests/common/certificates.h"
#include "tests/coordinator/fixture.h"
#include "tests/coordinator/rpc/served_coordinator.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using Stub = ServedCoordinator::Stub;
constexpr char kOther[] = "another request";

class Trust : public CoordinatorTest {
 protected:
  Trust() {
    RpcServer::Options options;
    options.transport = authority_.IssueServer();
    served_ = std::make_unique<ServedCoordinator>(coordinator_.get(), options);
  }
  ~Trust() override { served_.reset(); }

  // Over TLS with a certificate of this role and name.
  std::unique_ptr<Stub> StubOf(const std::string& role, const std::string& name) {
    auto channel = MakeChannel(served_->address(), authority_.IssueRole(role, name));
    EXPECT_THAT(channel, IsOk());
    return v1::CoordinatorService::NewStub(*channel);
  }
  template <typename Request, typename Response>
  static absl::StatusOr<Response> Call(const std::unique_ptr<Stub>& stub,
                                       grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                    const Request&, Response*),
                                       const Request& request) {
    return ServedCoordinator::Call(stub.get(), method, request);
  }
  v1::RegisterWorkerRequest Registration() {
    v1::RegisterWorkerRequest request;
    request.set_request_id(NewId());
    request.set_name("host");
    request.set_numerics_fingerprint("avx2");
    request.set_numerics("fastest");
    return request;
  }
  std::string RegisterBy(const std::unique_ptr<Stub>& stub) {
    const auto answer = Call(stub, &Stub::RegisterWorker, Registration());
    EXPECT_THAT(answer, IsOk());
    return answer.ok() ? answer->worker_id() : "";
  }
  absl::StatusOr<v1::LeaseTaskResponse> LeaseBy(const std::unique_ptr<Stub>& stub,
                                                const std::string& worker_id) {
    v1::LeaseTaskRequest request;
    request.set_request_id(NewId());
    request.set_worker_id(worker_id);
    return Call(stub, &Stub::LeaseTask, request);
  }
  absl::Status RenewBy(const std::unique_ptr<Stub>& stub, const v1::TaskLease& lease) {
    v1::RenewLeaseRequest request;
    *request.mutable_lease() = lease;
    return Call(stub, &Stub::RenewLease, request).status();
  }
  absl::Status ReleaseBy(const std::unique_ptr<Stub>& stub, const v1::TaskLease& lease) {
    v1::ReleaseTaskRequest request;
    request.set_request_id(NewId());
    *request.mutable_lease() = lease;
    request.set_reason(v1::RELEASE_REASON_STOPPING);
    return Call(stub, &Stub::ReleaseTask, request).status();
  }
  absl::Status UploadBy(const std::unique_ptr<Stub>& stub, const v1::TaskLease& lease,
                        const std::string& file) {
    grpc::ClientContext context;
    v1::UploadDeltaResponse response;
    const auto writer = stub->UploadDelta(&context, &response);
    v1::UploadDeltaRequest message;
    v1::DeltaHeader& header = *message.mutable_header();
    header.set_request_id(NewId());
    *header.mutable_lease() = lease;
    header.set_byte_count(static_cast<int64_t>(file.size()));
    for (const std::string& name : ModelBuffers()) header.add_buffer_names(name);
    header.set_model_card("{}");
    bool open = writer->Write(message);
    message.mutable_chunk()->set_data(file);
    open = open && writer->Write(message);
    message.mutable_trailer()->set_chunk_count(1);
    message.mutable_trailer()->set_byte_count(static_cast<int64_t>(file.size()));
    message.mutable_trailer()->set_crc32c(Crc32c(file));
    if (open && writer->Write(message)) writer->WritesDone();
    return FromGrpcStatus(writer->Finish());
  }
  absl::Status ReportBy(const std::unique_ptr<Stub>& stub, const v1::TaskLease& lease) {
    v1::ReportEvaluationRequest request;
    request.set_request_id(NewId());
    *request.mutable_lease() = lease;
    request.mutable_lease()->set_kind(v1::TASK_KIND_EVALUATE);
    *request.mutable_metrics() = ToProto(SomeEvaluation());
    return Call(stub, &Stub::ReportEvaluation, request).status();
  }

  TestAuthority authority_;
  std::unique_ptr<ServedCoordinator> served_;
};

TEST_F(Trust, Fault60_AnotherWorkersCertificateWithThisWorkersIdMayDoNothing) {
  const auto a = StubOf("worker", "a");
  const auto b = StubOf("worker", "b");
  const std::string worker = RegisterBy(a);
  const std::string run_id = Submit(SmallSpec());
  ASSERT_OK_AND_ASSIGN(const v1::LeaseTaskResponse leased, LeaseBy(a, worker));
  const v1::TaskLease& lease = leased.lease();
  ASSERT_EQ(lease.kind(), v1::TASK_KIND_INITIALISE);
  const std::string forged = ModelFile({6, 6});

  EXPECT_THAT(LeaseBy(b, worker), StatusIs(kDenied, HasSubstr("certificate")));
  EXPECT_THAT(RenewBy(b, lease), StatusIs(kDenied));
  EXPECT_THAT(ReleaseBy(b, lease), StatusIs(kDenied));
  EXPECT_THAT(UploadBy(b, lease, forged), StatusIs(kDenied));
  EXPECT_THAT(ReportBy(b, lease), StatusIs(kDenied));
  // Nor under its own id.
  v1::TaskLease own = lease;
  own.set_worker_id(RegisterBy(b));
  EXPECT_THAT(RenewBy(b, own), StatusIs(kDenied));
  EXPECT_THAT(UploadBy(b, own, forged), StatusIs(kDenied));
  EXPECT_EQ(Run(run_id).row.weights_sha256, "");
  EXPECT_EQ(coordinator_->statistics().Of(Count::kStrikes), 0) << "A has done nothing";

  EXPECT_THAT(RenewBy(a, lease), IsOk());
  // A certificate that was renewed under the same name is the same worker's.
  EXPECT_THAT(UploadBy(StubOf("worker", "a"), lease, ModelFile({1, 2})), IsOk());
  EXPECT_EQ(Run(run_id).row.weights_sha256, Sha256Hex(ModelFile({1, 2})));
}

TEST_F(Trust, Fault60_WhoRegisteredWithoutACertificateRegistersAgain) {
  const auto a = StubOf("worker", "a");
  Submit(SmallSpec());
  const std::string before_tls = Register();
  EXPECT_THAT(LeaseBy(a, before_tls), StatusIs(absl::StatusCode::kNotFound, HasSubstr("again")));
  EXPECT_THAT(LeaseBy(a, RegisterBy(a)), IsOk());
}

TEST_F(Trust, Fault60_TheRequestOfAnotherWorkersRegistrationGivesNobodyItsId) {
  const auto a = StubOf("worker", "a");
  const v1::RegisterWorkerRequest request = Registration();
  ASSERT_OK_AND_ASSIGN(const v1::RegisterWorkerResponse first,
                       Call(a, &Stub::RegisterWorker, request));
  EXPECT_THAT(Call(StubOf("worker", "b"), &Stub::RegisterWorker, request), StatusIs(kInvalid));
  ASSERT_OK_AND_ASSIGN(const v1::RegisterWorkerResponse again,
                       Call(a, &Stub::RegisterWorker, request));
  EXPECT_EQ(again.worker_id(), first.worker_id());
}

TEST_F(Trust, Fault60_TokensOfActiveLeasesAreShownToNobody) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease active = Take(Register()).lease;
  const auto reader = StubOf("reader", "r");
  v1::ListLeasesRequest leases;
  leases.set_run_id(run_id);
  ASSERT_OK_AND_ASSIGN(const v1::ListLeasesResponse listed,
                       Call(reader, &Stub::ListLeases, leases));
  ASSERT_EQ(listed.leases_size(), 2);
  EXPECT_EQ(listed.leases(1).lease().worker_id(), active.worker_id);
  EXPECT_EQ(listed.leases(1).lease().fencing_token(), 0);
  ASSERT_OK_AND_ASSIGN(const v1::ListWorkersResponse workers,
                       Call(reader, &Stub::ListWorkers, v1::ListWorkersRequest()));
  int busy = 0;
  for (const v1::Worker& worker : workers.workers()) {
    busy += worker.has_lease() ? 1 : 0;
    EXPECT_EQ(worker.lease().fencing_token(), 0);
  }
  EXPECT_EQ(busy, 1);
  ASSERT_OK_AND_ASSIGN(const StateExport exported, ExportState(options_.state_dir));
  const auto json = nlohmann::json::parse(exported.json);
  ASSERT_EQ(json["leases"].size(), 2);
  EXPECT_TRUE(json["leases"][0].contains("fencing_token")) << "it has ended";
  EXPECT_FALSE(json["leases"][1].contains("fencing_token"));
  for (const char* const table : {"leases", "workers"}) {
    for (const auto& row : json[table]) EXPECT_FALSE(row.contains("request_id")) << table;
  }
  // A listed lease is good for nothing.
  v1::TaskLease lease = listed.leases(1).lease();
  EXPECT_THAT(RenewBy(StubOf("worker", "w"), lease), Not(IsOk()));
  EXPECT_THAT(coordinator_->leases().Renew({active.task, 0, active.worker_id}, 0, ""),
              StatusIs(absl::StatusCode::kAborted));
}

class Replays : public CoordinatorTest {
 protected:
  Replays() : served_(std::make_unique<ServedCoordinator>(coordinator_.get())) {}
  ~Replays() override { served_.reset(); }

  template <typename Request>
  static Request Of(const std::string& run_id) {
    Request request;
    request.set_request_id("once");
    request.set_run_id(run_id);
    return request;
  }
  std::unique_ptr<ServedCoordinator> served_;
};

TEST_F(Replays, Fault66_ASubmissionsIdIsNotGoodForAnotherSpecNotEvenAfterARestart) {
  v1::SubmitRunRequest request;
  request.set_request_id("once");
  *request.mutable_spec() = ToProto(SmallSpec());
  ASSERT_OK_AND_ASSIGN(const v1::SubmitRunResponse first, served_->Call(&Stub::SubmitRun, request));
  v1::SubmitRunRequest other = request;
  other.mutable_spec()->set_seed(77);
  EXPECT_THAT(served_->Call(&Stub::SubmitRun, other), StatusIs(kInvalid, HasSubstr(kOther)));
  served_.reset();
  Reopen();
  served_ = std::make_unique<ServedCoordinator>(coordinator_.get());
  EXPECT_THAT(served_->Call(&Stub::SubmitRun, other), StatusIs(kInvalid, HasSubstr(kOther)));
  ASSERT_OK_AND_ASSIGN(const v1::SubmitRunResponse again, served_->Call(&Stub::SubmitRun, request));
  EXPECT_EQ(again.run().run_id(), first.run().run_id());
  EXPECT_EQ(coordinator_->runs().List(0, 100).size(), 1);
}

TEST_F(Replays, Fault66_ARetryThatComesLateHasNoSecondEffectAndAnotherRunsIsRefused) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string other = Submit(SmallSpec());
  const auto pause = Of<v1::PauseRunRequest>(run_id);
  ASSERT_THAT(served_->Call(&Stub::PauseRun, pause), IsOk());
  ASSERT_THAT(coordinator_->runs().Resume(run_id), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::PauseRunResponse again, served_->Call(&Stub::PauseRun, pause));
  EXPECT_EQ(again.run().state(), v1::RUN_STATE_RUNNING) << "it was paused once";

  EXPECT_THAT(served_->Call(&Stub::PauseRun, Of<v1::PauseRunRequest>(other)),
              StatusIs(kInvalid, HasSubstr(kOther)));
  // Nor for another rpc.
  EXPECT_THAT(served_->Call(&Stub::ResumeRun, Of<v1::ResumeRunRequest>(run_id)),
              StatusIs(kInvalid, HasSubstr(kOther)));
  EXPECT_THAT(served_->Call(&Stub::CancelRun, Of<v1::CancelRunRequest>(run_id)),
              StatusIs(kInvalid, HasSubstr(kOther)));
  EXPECT_THAT(served_->Call(&Stub::DeleteRun, Of<v1::DeleteRunRequest>(run_id)),
              StatusIs(kInvalid, HasSubstr(kOther)));
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
  EXPECT_EQ(Run(other).row.state, RunState::kPending);
}

TEST_F(Replays, Fault66_ADeletionThatIsSentAgainIsAnsweredAsTheFirst) {
  const std::string run_id = StartRun(SmallSpec());
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  const auto request = Of<v1::DeleteRunRequest>(run_id);
  EXPECT_THAT(served_->Call(&Stub::DeleteRun, request), IsOk());
  EXPECT_THAT(served_->Call(&Stub::DeleteRun, request), IsOk());
}

TEST_F(Replays, Fault66_WorkersCallsTakeAnIdForOneRequestAlone) {
  v1::RegisterWorkerRequest worker;
  worker.set_request_id("hello");
  worker.set_name("host");
  worker.set_numerics("fastest");
  ASSERT_THAT(served_->Call(&Stub::RegisterWorker, worker), IsOk());
  worker.set_name("other-host");
  EXPECT_THAT(served_->Call(&Stub::RegisterWorker, worker), StatusIs(kInvalid, HasSubstr(kOther)));

  RunSpec spec = SmallSpec();
  spec.evaluation.every_rounds = 1;
  const std::string run_id = StartRun(spec);
  v1::LeaseTaskRequest lease;
  lease.set_request_id("lease");
  lease.set_worker_id(Register());
  ASSERT_OK_AND_ASSIGN(const v1::LeaseTaskResponse leased, served_->Call(&Stub::LeaseTask, lease));
  ASSERT_TRUE(leased.has_lease());
  lease.set_max_wait_seconds(0.001);
  ASSERT_OK_AND_ASSIGN(const v1::LeaseTaskResponse again, served_->Call(&Stub::LeaseTask, lease));
  EXPECT_EQ(again.lease().fencing_token(), leased.lease().fencing_token()) << "it may wait less";
  lease.set_worker_id(Register());
  EXPECT_THAT(served_->Call(&Stub::LeaseTask, lease), StatusIs(kInvalid, HasSubstr(kOther)));

  v1::ReleaseTaskRequest release;
  release.set_request_id("release");
  *release.mutable_lease() = leased.lease();
  release.set_reason(v1::RELEASE_REASON_STOPPING);
  ASSERT_THAT(served_->Call(&Stub::ReleaseTask, release), IsOk());
  EXPECT_THAT(served_->Call(&Stub::ReleaseTask, release), IsOk());
  release.set_reason(v1::RELEASE_REASON_FAILED);
  EXPECT_THAT(served_->Call(&Stub::ReleaseTask, release), StatusIs(kInvalid, HasSubstr(kOther)));

  TrainRound();
  v1::ReportEvaluationRequest report;
  report.set_request_id("report");
  *report.mutable_lease() = ToProto(Take(Register()).lease);
  *report.mutable_metrics() = ToProto(SomeEvaluation());
  ASSERT_THAT(served_->Call(&Stub::ReportEvaluation, report), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::ReportEvaluationResponse duplicate,
                       served_->Call(&Stub::ReportEvaluation, report));
  EXPECT_TRUE(duplicate.duplicate());
  report.mutable_metrics()->set_correct_count(1);
  EXPECT_THAT(served_->Call(&Stub::ReportEvaluation, report),
              StatusIs(kInvalid, HasSubstr(kOther)));
}

}  // namespace
}  // namespace distillery
