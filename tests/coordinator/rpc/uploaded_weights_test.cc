// Weights to start from, up over gRPC.
#include <limits>

#include "coordinator/rpc/upload_service.h"
#include "tests/coordinator/rpc/service_fixture.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

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
