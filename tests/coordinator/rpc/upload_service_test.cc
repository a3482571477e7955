// Results up over gRPC: whole, half, and in several streams.
#include "coordinator/rpc/upload_service.h"

#include <atomic>
#include <filesystem>
#include <iterator>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Uploads : public CoordinatorServiceTest {
 protected:
  Uploads() : run_id_(StartRun(SmallSpec())), lease_(Take(Register()).lease) {}

  // Nothing was counted: the whole upload is the first.
  void ExpectNothingCounted() {
    ASSERT_OK_AND_ASSIGN(const bool duplicate, Upload(header_, delta_));
    EXPECT_FALSE(duplicate);
    EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
  }

  const std::string delta_ = ModelFile({0.5, 0.5});
  const std::string run_id_;
  const Lease lease_;
  const UploadHeader header_ = HeaderFor(lease_, delta_);
};

TEST_F(Uploads, WholeRunGoesOverTheWire) {
  ASSERT_THAT(Upload(header_, delta_), IsOk());
  const Lease other = Take(Register()).lease;
  ASSERT_THAT(Upload(HeaderFor(other, delta_), delta_), IsOk());
  ASSERT_TRUE(coordinator_->AverageNext());
  ASSERT_OK_AND_ASSIGN(const WeightsFile weights, coordinator_->weights().Open(run_id_, 1));
  // W_0 = [1, 2], both deltas [0.5, 0.5].
  EXPECT_THAT(TensorValues<float>(BytesOf(weights), "w"), ElementsAre(1.5F, 2.5F));
}

TEST_F(Uploads, RetryIsADuplicate) {
  ASSERT_OK_AND_ASSIGN(const bool first, Upload(header_, delta_));
  ASSERT_OK_AND_ASSIGN(const bool second, Upload(header_, delta_));
  EXPECT_FALSE(first);
  EXPECT_TRUE(second);
}

TEST_F(Uploads, Fault45_StreamWithoutItsTrailerIsAbortedAndNothingIsCounted) {
  const auto aborted = StatusIs(absl::StatusCode::kAborted, HasSubstr("without its trailer"));
  EXPECT_THAT(Upload({}), aborted);
  EXPECT_THAT(Upload({HeaderMessage(header_)}), aborted);
  EXPECT_THAT(Upload({HeaderMessage(header_), ChunkMessage(0, delta_)}), aborted);
  ExpectNothingCounted();
}

TEST_F(Uploads, Fault44_MessagesOutOfOrderAreRefused) {
  EXPECT_THAT(Upload({ChunkMessage(0, delta_)}),
              StatusIs(kInvalid, HasSubstr("before the header")));
  EXPECT_THAT(Upload({TrailerMessage(0, "")}), StatusIs(kInvalid, HasSubstr("before the header")));
  EXPECT_THAT(Upload({HeaderMessage(header_), HeaderMessage(header_)}),
              StatusIs(kInvalid, HasSubstr("twice")));
  EXPECT_THAT(Upload({HeaderMessage(header_), ChunkMessage(1, delta_)}),
              StatusIs(kInvalid, HasSubstr("chunk.offset")));
  ExpectNothingCounted();
}

TEST_F(Uploads, Fault44_WrongCrcIsDataLoss) {
  v1::UploadDeltaRequest trailer = TrailerMessage(1, delta_);
  trailer.mutable_trailer()->set_crc32c(trailer.trailer().crc32c() ^ 1);
  EXPECT_THAT(Upload({HeaderMessage(header_), ChunkMessage(0, delta_), trailer}),
              StatusIs(absl::StatusCode::kDataLoss));
  ExpectNothingCounted();
}

TEST_F(Uploads, EmptyMessageIsRefused) {
  EXPECT_THAT(Upload({v1::UploadDeltaRequest()}), StatusIs(kInvalid, HasSubstr("none is set")));
  EXPECT_THAT(Upload({HeaderMessage(header_), v1::UploadDeltaRequest()}),
              StatusIs(kInvalid, HasSubstr("none is set")));
  ExpectNothingCounted();
}

TEST_F(Uploads, Fault46_CodesOfTheDomainReachTheWorker) {
  UploadHeader stolen = header_;
  stolen.lease.worker_id = Register();
  EXPECT_THAT(Upload(stolen, delta_), StatusIs(absl::StatusCode::kPermissionDenied));
  UploadHeader future = header_;
  future.lease.task.round = 1;
  EXPECT_THAT(Upload(future, delta_), StatusIs(absl::StatusCode::kFailedPrecondition));
  UploadHeader old = header_;
  old.lease.fencing_token = 0;
  EXPECT_THAT(Upload(old, delta_), StatusIs(absl::StatusCode::kAborted));
  UploadHeader unknown = header_;
  unknown.lease.task.run_id = "nobody";
  EXPECT_THAT(Upload(unknown, delta_), StatusIs(absl::StatusCode::kNotFound));
  UploadHeader large = header_;
  large.byte_count = options_.max_model_bytes + 1;
  EXPECT_THAT(Upload(large, delta_), StatusIs(absl::StatusCode::kResourceExhausted));
  ExpectNothingCounted();
}

TEST_F(Uploads, WorkerThatGoesAwayInTheMiddleLeavesNothing) {
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    v1::UploadDeltaResponse response;
    const auto writer = stub_->UploadDelta(&context, &response);
    writer->Write(HeaderMessage(header_));
    writer->Write(ChunkMessage(0, delta_.substr(0, 8)));
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ASSERT_OK_AND_ASSIGN(const bool duplicate, Upload(header_, delta_));
  EXPECT_FALSE(duplicate);
}

// Uploads that have begun and go no further.
class HalfUploads : public Uploads {
 protected:
  struct Half {
    grpc::ClientContext context;
    v1::UploadDeltaResponse response;
    std::unique_ptr<grpc::ClientWriter<v1::UploadDeltaRequest>> writer;
  };
  // `id`: of the request.
  std::unique_ptr<Half> Begin(const std::string& id) {
    UploadHeader header = header_;
    header.request_id = id;
    auto half = std::make_unique<Half>();
    half->writer = stub_->UploadDelta(&half->context, &half->response);
    half->writer->Write(HeaderMessage(header));
    half->writer->Write(ChunkMessage(0, delta_.substr(0, 8)));
    return half;
  }
  static absl::Status EndOf(Half& half) { return FromGrpcStatus(half.writer->Finish()); }
  int64_t FileCount() {
    return std::distance(std::filesystem::directory_iterator(StateFile("incoming")),
                         std::filesystem::directory_iterator());
  }
};

TEST_F(HalfUploads, Fault63_OneLeaseHoldsFew) {
  std::vector<std::unique_ptr<Half>> halves;
  for (int i = 0; i < 4; ++i) {
    halves.push_back(Begin(absl::StrCat("half-", i)));
    while (FileCount() < i + 1) std::this_thread::yield();
  }
  for (int i = 4; i < 200; ++i) {
    EXPECT_THAT(EndOf(*Begin(absl::StrCat("half-", i))),
                StatusIs(absl::StatusCode::kResourceExhausted,
                         HasSubstr("this lease has 4 uploads open, at most 4")));
  }
  EXPECT_EQ(FileCount(), 4);
  // Those that broke off and are kept count as well.
  halves[0]->context.TryCancel();
  EXPECT_FALSE(EndOf(*halves[0]).ok());
  EXPECT_THAT(EndOf(*Begin("another")), StatusIs(absl::StatusCode::kResourceExhausted));
  // One that goes on from the beginning takes the place of what was kept.
  v1::GetUploadRequest kept;
  kept.set_request_id("half-0");
  while (Call(&Stub::GetUpload, kept)->received_byte_count() == 0) std::this_thread::yield();
  UploadHeader header = header_;
  header.request_id = "half-0";
  EXPECT_THAT(Upload(header, delta_), IsOk());
  for (size_t i = 1; i < halves.size(); ++i) halves[i]->context.TryCancel();
  for (size_t i = 1; i < halves.size(); ++i) EXPECT_FALSE(EndOf(*halves[i]).ok());
}

TEST_F(HalfUploads, Fault63_EndWithTheirLeaseAndTheirFilesGo) {
  const auto open = Begin("open");
  while (FileCount() < 1) std::this_thread::yield();
  const auto broken = Begin("broken");
  while (FileCount() < 2) std::this_thread::yield();
  broken->context.TryCancel();
  EXPECT_FALSE(EndOf(*broken).ok());
  service_.EndIdleStreams();
  EXPECT_EQ(FileCount(), 2);
  // Less than a minute, after which they would end as idle.
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  coordinator_->Tick();
  while (FileCount() > 0) {
    service_.EndIdleStreams();
    std::this_thread::yield();
  }
  const absl::Status ended = EndOf(*open);
  EXPECT_TRUE(absl::IsAborted(ended) || absl::IsCancelled(ended)) << ended;
}

TEST_F(HalfUploads, Fault63_OneWhoseClientSendsNothingIsEnded) {
  const auto silent = Begin("silent");
  while (FileCount() < 1) std::this_thread::yield();
  grpc::ClientContext context;
  v1::UploadWeightsResponse response;
  const auto weights = stub_->UploadWeights(&context, &response);
  std::thread waiting([&] { EXPECT_THAT(FromGrpcStatus(weights->Finish()), IsIdleEnd()); });
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(21));
    ASSERT_THAT(coordinator_->leases().Renew(lease_, 0, ""), IsOk());
  }
  service_.EndIdleStreams();
  EXPECT_THAT(EndOf(*silent), IsIdleEnd());
  // It may have begun only now.
  std::atomic<bool> ended{false};
  std::thread ticking([&] {
    while (!ended) {
      clock_.Advance(absl::Seconds(61));
      service_.EndIdleStreams();
      std::this_thread::yield();
    }
  });
  waiting.join();
  ended = true;
  ticking.join();
}

// Uploads that break off and go on.
class ResumedUploads : public CoordinatorServiceTest {
 protected:
  ResumedUploads() : run_id_(StartRun(SmallSpec(), LargeModel())) {
    lease_ = Take(Register()).lease;
    header_ = HeaderFor(lease_, file_);
  }
  int64_t Received(const std::string& request_id) {
    v1::GetUploadRequest request;
    request.set_request_id(request_id);
    const auto response = Call(&Stub::GetUpload, request);
    EXPECT_THAT(response, IsOk());
    return response.ok() ? response->received_byte_count() : -1;
  }
  // Sends the first chunk of 1 MiB, and no more.
  void BreakOff() {
    EXPECT_THAT(Upload(std::vector<v1::UploadDeltaRequest>{
                    HeaderMessage(header_), ChunkMessage(0, file_.substr(0, kChunkBytes))}),
                StatusIs(absl::StatusCode::kAborted));
  }
  absl::StatusOr<bool> GoOn(int64_t offset) {
    const std::string rest = file_.substr(static_cast<size_t>(offset));
    std::vector<v1::UploadDeltaRequest> messages = {HeaderMessage(header_)};
    messages[0].mutable_header()->set_start_offset(offset);
    int64_t chunks = 0;
    for (size_t at = 0; at < rest.size(); at += kChunkBytes, ++chunks) {
      messages.push_back(
          ChunkMessage(offset + static_cast<int64_t>(at), rest.substr(at, kChunkBytes)));
    }
    messages.push_back(TrailerMessage(chunks, rest));
    return Upload(messages);
  }

  const std::string file_ = LargeModel();
  const std::string run_id_;
  Lease lease_;
  UploadHeader header_;
};

TEST_F(ResumedUploads, GoOnWhereTheyBrokeOff) {
  EXPECT_EQ(Received(header_.request_id), 0);
  BreakOff();
  EXPECT_EQ(Received(header_.request_id), kChunkBytes);
  ASSERT_OK_AND_ASSIGN(const bool duplicate, GoOn(kChunkBytes));
  EXPECT_FALSE(duplicate);
  EXPECT_EQ(Received(header_.request_id), 0);
  // And again whole: it is known.
  ASSERT_OK_AND_ASSIGN(const bool again, Upload(header_, file_));
  EXPECT_TRUE(again);
}

TEST_F(ResumedUploads, MayBeginAnew) {
  BreakOff();
  EXPECT_THAT(Upload(header_, file_), IsOk());
}

TEST_F(ResumedUploads, WhatIsNotKeptIsAskedForAnew) {
  BreakOff();
  clock_.Advance(absl::Minutes(2));
  EXPECT_THAT(GoOn(kChunkBytes), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("begin at 0")));
}

TEST_F(ResumedUploads, AnotherOffsetOrAnotherFileIsRefused) {
  BreakOff();
  EXPECT_THAT(GoOn(kChunkBytes + 1), StatusIs(kInvalid, HasSubstr("ask GetUpload")));
  BreakOff();
  header_.byte_count += 1;
  EXPECT_THAT(GoOn(kChunkBytes), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ResumedUploads, AnUploadThatWasRefusedIsNotKept) {
  std::string bad = file_;
  bad[bad.size() - 1] = '\x7f';
  std::vector<v1::UploadDeltaRequest> messages = {HeaderMessage(header_),
                                                  ChunkMessage(0, file_.substr(0, kChunkBytes)),
                                                  ChunkMessage(7, "out of order")};
  EXPECT_THAT(Upload(messages), StatusIs(kInvalid));
  EXPECT_EQ(Received(header_.request_id), 0);
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
}

}  // namespace
}  // namespace distillery
