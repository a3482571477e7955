// Faults 36, 38, 39, 48 and 49 against the coordinator: requests that no client of ours sends.
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>

#include <limits>
#include <random>

#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

class HostileRequests : public CoordinatorServiceTest {
 protected:
  // All that the record and the run's view say, for comparison.
  std::string Standing(const std::string& run_id) {
    const RunView run = Run(run_id);
    return absl::StrCat(static_cast<int>(run.row.state), " ", run.row.completed_rounds, " ",
                        run.row.weights_sha256, " ", run.row.lost_leases, " ", run.active_leases,
                        " ", coordinator_->runs().List(0, 100).size(), " ",
                        coordinator_->gauges().known_workers);
  }

  // Sends one message of raw bytes to a method, streaming or not.
  grpc::StatusCode CallRaw(const std::string& method, const std::string& bytes) {
    grpc::GenericStub stub(channel_);
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto call = stub.PrepareCall(&context, method, &queue);
    const auto wait = [&] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    call->StartCall(nullptr);
    wait();
    const grpc::Slice slice(bytes);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    wait();
    call->WritesDone(nullptr);
    wait();
    grpc::ByteBuffer response;
    do {
      call->Read(&response, nullptr);
    } while (wait());
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    queue.Shutdown();
    return status.error_code();
  }

  static std::vector<std::string> Methods() {
    std::vector<std::string> methods;
    const auto* const service = v1::LeaseTaskRequest::descriptor()->file()->service(0);
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back("/" + service->full_name() + "/" + service->method(i)->name());
    }
    return methods;
  }

  // A weights file with this JSON header and so many bytes of data.
  static std::string FileOf(const std::string& json, size_t data) {
    const uint64_t size = json.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + json +
           std::string(data, '\0');
  }
};

TEST_F(HostileRequests, Fault36_RandomBytesToAnyMethodAreRefusedAndNothingIsCounted) {
  const std::string run_id = StartRun(SmallSpec());
  Take(Register());
  const std::string before = Standing(run_id);
  std::mt19937 random(36);
  for (const std::string& method : Methods()) {
    // Field 1 of 127 bytes, of which two come: no message of any method.
    EXPECT_EQ(CallRaw(method,
                      "\x0A\x7F"
                      "ab"),
              grpc::StatusCode::INTERNAL)
        << method;
    for (int i = 0; i < 40; ++i) {
      std::string bytes(random() % 200, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      // What parses by chance is an empty message or nearly so, and refused for that; UNKNOWN
      // never.
      EXPECT_NE(CallRaw(method, bytes), grpc::StatusCode::UNKNOWN) << method;
    }
  }
  EXPECT_EQ(Standing(run_id), before);
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
}

TEST_F(HostileRequests, Fault38_ShapesThatCannotBeAreRefusedBeforeAnyAllocation) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  const std::string before = Standing(run_id);
  std::string many = "1";
  for (int i = 1; i < 65; ++i) many += ",1";
  for (const std::string& shape :
       {std::string("2147483648,2147483648,2"), std::string("-1"),
        std::string("9223372036854775807"), std::string("1.5"), std::string("1e3"), many}) {
    const std::string file =
        FileOf(R"({"w":{"dtype":"F32","shape":[)" + shape + R"(],"data_offsets":[0,4]}})", 4);
    EXPECT_THAT(Upload(HeaderFor(lease, file), file), StatusIs(kInvalid, HasSubstr("w"))) << shape;
  }
  // A shape with 0 in it is a tensor without elements: sensible, and not this model's.
  const std::string empty = FileOf(R"({"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", 0);
  EXPECT_THAT(Upload(HeaderFor(lease, empty), empty),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Standing(run_id), before);
}

TEST_F(HostileRequests, Fault39_ByteLengthMustBeThatOfShapeAndType) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  const std::string before = Standing(run_id);
  for (const auto& [json, data] :
       {std::pair<std::string, size_t>{R"("shape":[2],"data_offsets":[0,4])", 4},
        {R"("shape":[2],"data_offsets":[0,8])", 4},
        {R"("shape":[2],"data_offsets":[0,8])", 12},
        {R"("shape":[2],"data_offsets":[4,12])", 12},
        {R"("shape":[2],"data_offsets":[8,0])", 8},
        {R"("shape":[2],"data_offsets":[-8,0])", 8},
        {R"("shape":[2],"data_offsets":[0,99999999999])", 8}}) {
    const std::string file = FileOf(R"({"w":{"dtype":"F32",)" + json + "}}", data);
    EXPECT_THAT(Upload(HeaderFor(lease, file), file), StatusIs(kInvalid)) << json;
  }
  // A header that says it is longer than the file.
  std::string file = ModelFile({0.5, 0.5});
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  std::memcpy(file.data(), &huge, sizeof(huge));
  EXPECT_THAT(Upload(HeaderFor(lease, file), file), StatusIs(kInvalid));
  EXPECT_EQ(Standing(run_id), before);
}

TEST_F(HostileRequests, Fault48_IdsOfStreamsAndUploadsAreCheckedToo) {
  const std::string run_id = StartRun(SmallSpec());
  const Lease lease = Take(Register()).lease;
  const std::string delta = ModelFile({0.5, 0.5});
  const std::string before = Standing(run_id);
  for (const std::string& bad : {std::string("../../etc/passwd"), std::string(1 << 20, 'a'),
                                 std::string("a\0b", 3), std::string("\xC3\xA9"), std::string()}) {
    UploadHeader request = HeaderFor(lease, delta);
    request.request_id = bad;
    UploadHeader run = HeaderFor(lease, delta);
    run.lease.task.run_id = bad;
    v1::GetUploadRequest get;
    get.set_request_id(bad);
    std::vector<absl::Status> statuses = {Upload(request, delta).status(),
                                          Upload(run, delta).status(),
                                          Call(&Stub::GetUpload, get).status()};
    const auto drain = [&](auto reader, auto message) {
      while (reader->Read(&message)) {
      }
      statuses.push_back(FromGrpcStatus(reader->Finish()));
    };
    {
      grpc::ClientContext context;
      v1::WatchRunRequest watch;
      watch.set_run_id(bad);
      drain(stub_->WatchRun(&context, watch), v1::WatchRunResponse());
    }
    {
      grpc::ClientContext context;
      v1::DownloadWeightsRequest download;
      download.set_run_id(bad);
      drain(stub_->DownloadWeights(&context, download), v1::DownloadWeightsResponse());
    }
    if (!bad.empty()) {
      grpc::ClientContext context;
      v1::DownloadWeightsRequest download;
      download.set_uploaded_sha256(bad);
      drain(stub_->DownloadWeights(&context, download), v1::DownloadWeightsResponse());
    }
    for (const absl::Status& status : statuses) {
      EXPECT_THAT(status, StatusIs(kInvalid, Not(HasSubstr(folder_.path()))));
      EXPECT_LT(status.message().size(), 600) << "the message must not repeat a long id";
    }
  }
  EXPECT_EQ(Standing(run_id), before);
}

TEST_F(HostileRequests, Fault49_TenThousandLeasesAskedByOneWorkerAreRefusedBeyondAQuota) {
  constexpr int kAsked = 10'000;
  const std::string greedy = Register();
  int waiting = 0;
  int refused = 0;
  std::vector<int64_t> waits;
  std::vector<absl::StatusCode> ends;
  for (int i = 0; i < kAsked; ++i) {
    const int64_t id = coordinator_->leases().Take(
        absl::StrCat("request-", i), greedy, absl::Seconds(60),
        [&](const absl::StatusOr<LeaseAnswer>& answer) { ends.push_back(answer.status().code()); });
    if (id != 0) {
      ++waiting;
      waits.push_back(id);
    } else {
      ++refused;
    }
  }
  EXPECT_EQ(waiting, options_.max_waits_per_worker);
  EXPECT_EQ(refused, kAsked - options_.max_waits_per_worker);
  EXPECT_THAT(ends, Each(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(coordinator_->statistics().Of(Count::kRefusedWaits), refused);
  EXPECT_EQ(coordinator_->gauges().waiting_workers, options_.max_waits_per_worker);
  // Others are served.
  const std::string run_id = Submit(SmallSpec());
  EXPECT_EQ(Take(Register()).lease.task.run_id, run_id);
  for (const int64_t wait : waits) coordinator_->leases().CancelWait(wait);
  EXPECT_EQ(coordinator_->gauges().waiting_workers, 0);
}

TEST_F(HostileRequests, Fault49_AskingAgainAndAgainNeverHoldsTwoLeases) {
  const std::string run_id = StartRun(SmallSpec());
  const std::string greedy = Register();
  int granted = 0;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_OK_AND_ASSIGN(const LeaseAnswer answer, Ask(greedy));
    granted += answer.grant.has_value() ? 1 : 0;
    EXPECT_LE(Run(run_id).active_leases, 1);
  }
  // And it is made to wait: each lease is rows of the record.
  EXPECT_EQ(Run(run_id).row.lost_leases, granted);
  EXPECT_LE(granted, LeasePace::kFree + 1);
}

TEST_F(HostileRequests, WatchersThatComeAndGoLeaveNothingOnAQuietRun) {
  const std::string run_id = Submit(SmallSpec());
  coordinator_->Tick();
  struct Listener : RunListener {
    void OnRunChanged() override {}
  };
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(coordinator_->runs().Watch(run_id, std::make_shared<Listener>()), IsOk());
  }
  const auto staying = std::make_shared<Listener>();
  ASSERT_THAT(coordinator_->runs().Watch(run_id, staying), IsOk());
  EXPECT_EQ(coordinator_->gauges().watchers, 1);
}

}  // namespace
}  // namespace distillery
