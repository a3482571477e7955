// Streams over gRPC: weights down, deltas up, runs watched.
#include "coordinator/rpc/weights_stream.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/weights/broadcast_encoding.h"
#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// 700,000 floats: three chunks of at most 1 MiB.
std::string LargeModel() {
  std::vector<float> w(700'000);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i);
  return ModelFile(std::move(w));
}

class Downloads : public CoordinatorServiceTest {
 protected:
  struct Download {
    std::vector<v1::DownloadWeightsResponse> messages;
    absl::Status status;
    std::string Bytes() const {
      std::string bytes;
      for (const auto& message : messages) bytes += message.chunk().data();
      return bytes;
    }
  };
  Download Get(const std::string& run_id, int round = -1, int64_t offset = 0,
               const std::string& encoding = "") {
    v1::DownloadWeightsRequest request;
    request.set_run_id(run_id);
    request.set_round(round);
    request.set_start_offset(offset);
    request.set_encoding(encoding);
    grpc::ClientContext context;
    Download download;
    const auto reader = stub_->DownloadWeights(&context, request);
    v1::DownloadWeightsResponse message;
    while (reader->Read(&message)) download.messages.push_back(message);
    download.status = FromGrpcStatus(reader->Finish());
    return download;
  }
};

TEST_F(Downloads, WeightsComeAsHeaderChunksAndTrailer) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  const Download download = Get(run_id);
  ASSERT_THAT(download.status, IsOk());
  ASSERT_EQ(download.messages.size(), 5);
  const v1::WeightsHeader& header = download.messages[0].header();
  EXPECT_EQ(header.byte_count(), static_cast<int64_t>(file.size()));
  EXPECT_EQ(header.sha256(), Sha256Hex(file));
  EXPECT_EQ(header.round(), 0);
  EXPECT_THAT(header.buffer_names(), ElementsAre("mean", "steps"));
  EXPECT_EQ(header.model_card(), "{}");
  int64_t next = 0;
  for (size_t i = 1; i + 1 < download.messages.size(); ++i) {
    EXPECT_EQ(download.messages[i].chunk().offset(), next);
    next += static_cast<int64_t>(download.messages[i].chunk().data().size());
  }
  EXPECT_TRUE(download.Bytes() == file);
  const v1::BytesTrailer& trailer = download.messages.back().trailer();
  EXPECT_EQ(trailer.chunk_count(), 3);
  EXPECT_EQ(trailer.byte_count(), static_cast<int64_t>(file.size()));
  EXPECT_EQ(trailer.crc32c(), Crc32c(file));
}

TEST_F(Downloads, ResumeAtAnyOffsetGivesTheRest) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  const auto size = static_cast<int64_t>(file.size());
  for (const int64_t offset : {int64_t{1}, int64_t{1 << 20}, size - 1, size}) {
    const Download download = Get(run_id, 0, offset);
    ASSERT_THAT(download.status, IsOk()) << offset;
    const std::string rest = file.substr(static_cast<size_t>(offset));
    EXPECT_TRUE(download.Bytes() == rest) << offset;
    EXPECT_EQ(download.messages[0].header().byte_count(), size);
    // The trailer is about this stream alone.
    const v1::BytesTrailer& trailer = download.messages.back().trailer();
    EXPECT_EQ(trailer.byte_count(), size - offset);
    EXPECT_EQ(trailer.crc32c(), Crc32c(rest));
  }
}

TEST_F(Downloads, EachChunkHasItsChecksum) {
  const std::string run_id = StartRun(SmallSpec(), LargeModel());
  const Download download = Get(run_id);
  for (size_t i = 1; i + 1 < download.messages.size(); ++i) {
    const v1::BytesChunk& chunk = download.messages[i].chunk();
    EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
  }
}

TEST_F(Downloads, Fault62_WeightsThatRotOrAreCutShortUnderAReaderAreRebuiltAndThenSent) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 3;
  const std::string run_id = StartRun(spec, LargeModel());
  TrainRound({LargeModel(), LargeModel()});
  const std::string path = StateFile("weights/" + run_id + "/00000001.safetensors");
  const std::string sound = Get(run_id).Bytes();
  for (const bool cut : {false, true}) {
    // Held open, as by a download that is under way.
    ASSERT_OK_AND_ASSIGN(const WeightsFile held, coordinator_->weights().Open(run_id, -1));
    if (cut) {
      std::filesystem::resize_file(path, sound.size() / 2);
    } else {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(sound.size()) / 2);
      file.put('x');
    }
    const Download broken = Get(run_id);
    EXPECT_THAT(broken.status,
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("being rebuilt")));
    EXPECT_TRUE(broken.Bytes() == sound.substr(0, broken.Bytes().size())) << "what came is sound";
    EXPECT_FALSE(broken.messages.back().has_trailer());
    EXPECT_THAT(Get(run_id).status, StatusIs(absl::StatusCode::kUnavailable));
    ASSERT_TRUE(coordinator_->AverageNext());
    // It goes on where it broke off, in the same bytes.
    const Download rest = Get(run_id, -1, static_cast<int64_t>(broken.Bytes().size()));
    ASSERT_THAT(rest.status, IsOk());
    EXPECT_TRUE(broken.Bytes() + rest.Bytes() == sound);
  }
  EXPECT_EQ(Run(run_id).row.state, RunState::kRunning);
}

TEST_F(Downloads, OffsetsOutsideTheFileAreRefused) {
  const std::string file = ModelFile({1, 2});
  const std::string run_id = StartRun(SmallSpec(), file);
  const auto refused = StatusIs(kInvalid, HasSubstr("start_offset"));
  EXPECT_THAT(Get(run_id, 0, -1).status, refused);
  EXPECT_THAT(Get(run_id, 0, static_cast<int64_t>(file.size()) + 1).status, refused);
}

TEST_F(Downloads, Float16IsHalfTheBytesAndNamesTheFloat32Weights) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  const Download whole = Get(run_id);
  const Download half = Get(run_id, 0, 0, "float16");
  ASSERT_THAT(half.status, IsOk());
  const std::string bytes = half.Bytes();
  const v1::WeightsHeader& header = half.messages[0].header();
  EXPECT_EQ(header.byte_count(), static_cast<int64_t>(bytes.size()));
  EXPECT_LT(bytes.size(), file.size() / 2 + 1000);
  EXPECT_EQ(header.sha256(), Sha256Hex(bytes));
  EXPECT_EQ(header.weights_sha256(), Sha256Hex(file));
  EXPECT_EQ(whole.messages[0].header().weights_sha256(), Sha256Hex(file));
  ASSERT_OK_AND_ASSIGN(const Weights decoded, DecodeFloat16(bytes, {"mean", "steps"}));
  EXPECT_EQ(TensorValues<float>(decoded.file(), "mean"), TensorValues<float>(file, "mean"));
  // A download that broke off goes on in the same bytes.
  const Download rest = Get(run_id, 0, 1000, "float16");
  EXPECT_TRUE(rest.Bytes() == bytes.substr(1000));
  EXPECT_THAT(Get(run_id, 0, 0, "int8").status, StatusIs(kInvalid, HasSubstr("encoding")));
}

TEST_F(Downloads, Float16FilesGoWithTheirRound) {
  RunSpec spec = SmallSpec();
  spec.training.rounds = 6;
  const std::string run_id = StartRun(spec);
  ASSERT_THAT(Get(run_id, 0, 0, "float16").status, IsOk());
  const auto count = [&] {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(StateFile("weights/" + run_id))) {
      if (entry.path().string().find("float16") != std::string::npos) ++files;
    }
    return files;
  };
  EXPECT_EQ(count(), 1);
  for (int i = 0; i < 4; ++i) TrainRound();
  EXPECT_EQ(count(), 0);
}

TEST_F(Downloads, RoundsThatAreNotThereAreNamed) {
  const std::string run_id = StartRun(SmallSpec());
  EXPECT_THAT(Get("nobody").status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Get("../state").status, StatusIs(kInvalid));
  EXPECT_THAT(Get(run_id, 1).status,
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("has not begun")));
  TrainRound();
  ASSERT_THAT(RemoveFile(StateFile("weights/" + run_id + "/00000000.safetensors")), IsOk());
  EXPECT_THAT(Get(run_id, 0).status,
              StatusIs(absl::StatusCode::kNotFound, Not(HasSubstr(folder_.path()))));
}

TEST_F(Downloads, ClientThatGoesAwayInTheMiddleHarmsNobody) {
  const std::string file = LargeModel();
  const std::string run_id = StartRun(SmallSpec(), file);
  for (int i = 0; i < 20; ++i) {
    v1::DownloadWeightsRequest request;
    request.set_run_id(run_id);
    grpc::ClientContext context;
    const auto reader = stub_->DownloadWeights(&context, request);
    v1::DownloadWeightsResponse message;
    EXPECT_TRUE(reader->Read(&message));
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(Get(run_id).Bytes() == file);
}

// Whether this process has a file open whose path contains `name`.
bool HoldsOpen(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    const std::string path = std::filesystem::read_symlink(entry.path(), closed).string();
    if (absl::StrContains(path, name)) return true;
  }
  return false;
}

// The end of a stream whose client did nothing: that may see only the cancel.
MATCHER(IsIdleEnd, "") { return absl::IsResourceExhausted(arg) || absl::IsCancelled(arg); }

TEST_F(Downloads, Fault63_WhatNobodyReadsIsEndedAndItsRoundIsLetGo) {
  const std::string run_id = StartRun(SmallSpec(), LargeModel());
  v1::DownloadWeightsRequest request;
  request.set_run_id(run_id);
  grpc::ClientContext context;
  const auto reader = stub_->DownloadWeights(&context, request);
  v1::DownloadWeightsResponse message;
  ASSERT_TRUE(reader->Read(&message));
  while (!HoldsOpen(run_id)) std::this_thread::yield();
  service_.EndIdleStreams();
  EXPECT_TRUE(HoldsOpen(run_id));
  ASSERT_THAT(coordinator_->runs().Cancel(run_id), IsOk());
  ASSERT_THAT(coordinator_->runs().Delete(run_id), IsOk());
  while (HoldsOpen(run_id)) {
    clock_.Advance(absl::Seconds(61));
    service_.EndIdleStreams();
    std::this_thread::yield();
  }
  while (reader->Read(&message)) {
  }
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsIdleEnd());
}

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

class WeightsUploads : public CoordinatorServiceTest {
 protected:
  v1::UploadWeightsRequest Header(const std::string& file) {
    v1::UploadWeightsRequest message;
    message.mutable_header()->set_request_id(NewId());
    message.mutable_header()->set_byte_count(static_cast<int64_t>(file.size()));
    message.mutable_header()->set_sha256(Sha256Hex(file));
    return message;
  }
  absl::StatusOr<bool> SendWeights(const v1::UploadWeightsRequest& header,
                                   const std::string& file) {
    grpc::ClientContext context;
    v1::UploadWeightsResponse response;
    const auto writer = stub_->UploadWeights(&context, &response);
    v1::UploadWeightsRequest chunk;
    chunk.mutable_chunk()->set_data(file);
    v1::UploadWeightsRequest trailer;
    trailer.mutable_trailer()->set_chunk_count(1);
    trailer.mutable_trailer()->set_byte_count(static_cast<int64_t>(file.size()));
    trailer.mutable_trailer()->set_crc32c(Crc32c(file));
    for (const v1::UploadWeightsRequest& message : {header, chunk, trailer}) {
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    const absl::Status status = FromGrpcStatus(writer->Finish());
    if (!status.ok()) return status;
    return response.duplicate();
  }
  absl::StatusOr<bool> SendWeights(const std::string& file) {
    return SendWeights(Header(file), file);
  }
  RunSpec SpecFrom(const std::string& file) {
    RunSpec spec = SmallSpec();
    spec.student.initial_weights_sha256 = Sha256Hex(file);
    return spec;
  }

  const std::string file_ = ModelFile({5, 6});
};

TEST_F(WeightsUploads, ARunMayStartFromThemOnceTheyAreThere) {
  EXPECT_THAT(coordinator_->runs().Submit(NewId(), SpecFrom(file_)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("UploadWeights first")));
  ASSERT_OK_AND_ASSIGN(const bool duplicate, SendWeights(file_));
  EXPECT_FALSE(duplicate);
  ASSERT_OK_AND_ASSIGN(const bool again, SendWeights(file_));
  EXPECT_TRUE(again);
  EXPECT_THAT(coordinator_->runs().Submit(NewId(), SpecFrom(file_)), IsOk());
  // The worker of the initialise task asks for them by name.
  v1::DownloadWeightsRequest request;
  request.set_uploaded_sha256(Sha256Hex(file_));
  grpc::ClientContext context;
  const auto reader = stub_->DownloadWeights(&context, request);
  v1::DownloadWeightsResponse message;
  std::string bytes;
  while (reader->Read(&message)) bytes += message.chunk().data();
  ASSERT_THAT(FromGrpcStatus(reader->Finish()), IsOk());
  EXPECT_EQ(bytes, file_);
}

TEST_F(WeightsUploads, StayUntilTheRunHasItsFirstWeights) {
  ASSERT_THAT(SendWeights(file_), IsOk());
  const std::string other = ModelFile({7, 8});
  ASSERT_THAT(SendWeights(other), IsOk());
  ASSERT_THAT(coordinator_->runs().Submit(NewId(), SpecFrom(file_)), IsOk());
  const std::string image = CrashImage();
  EXPECT_TRUE(FileExists(image + "/uploads/" + Sha256Hex(other) + ".safetensors"));
  Coordinator::Options options = options_;
  options.state_dir = image;
  ASSERT_OK_AND_ASSIGN(const auto restarted, Coordinator::Open(options));
  EXPECT_THAT(restarted->weights().OpenUploaded(Sha256Hex(file_)), IsOk());
  EXPECT_THAT(restarted->weights().OpenUploaded(Sha256Hex(other)),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(WeightsUploads, BadOnesAreRefused) {
  v1::UploadWeightsRequest header = Header(file_);
  header.mutable_header()->set_sha256(std::string(64, 'a'));
  EXPECT_THAT(SendWeights(header, file_), StatusIs(absl::StatusCode::kDataLoss));
  header.mutable_header()->set_sha256("../../record");
  EXPECT_THAT(SendWeights(header, file_), StatusIs(kInvalid, HasSubstr("64 hex digits")));
  EXPECT_THAT(SendWeights("no weights at all"), StatusIs(kInvalid));
  EXPECT_THAT(SendWeights(ModelFile({std::numeric_limits<float>::quiet_NaN(), 1})),
              StatusIs(kInvalid, HasSubstr("NaN")));
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("incoming")));
  EXPECT_TRUE(std::filesystem::is_empty(StateFile("uploads")));
}

}  // namespace
}  // namespace distillery
