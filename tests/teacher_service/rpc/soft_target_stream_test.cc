// StreamSoftTargets: models, encodings, samples, limits, and a client that does not read.
#include <thread>

#include "common/base/checksum.h"
#include "common/base/half.h"
#include "common/data/catalog.h"
#include "common/data/pixels.h"
#include "tests/common/log_lines.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

std::string TensorBytes(const v1::SoftTargetChunk& chunk) {
  return chunk.values().data() + chunk.row_scales().data() + chunk.class_indexes().data() +
         chunk.tail_mass().data() + chunk.inputs().data() + chunk.labels().data();
}

class StreamOptions : public ::testing::Test {
 protected:
  StreamOptions() { server_.SetTeacher(std::make_shared<FakeTeacher>(32, &probe_)); }
  FakeTeacherProbe probe_;
  TeacherServer server_;
};

TEST_F(StreamOptions, EachEncodingHasItsTensorsAndTheTrailerCoversThemAll) {
  struct Case {
    v1::Encoding encoding;
    int32_t top_k;
    int64_t row_bytes;
  };
  for (const Case& c : {Case{v1::ENCODING_FLOAT32, 0, 40}, Case{v1::ENCODING_FLOAT16, 0, 20},
                        Case{v1::ENCODING_INT8, 0, 14}, Case{v1::ENCODING_TOP_K, 3, 3 * 4 + 2}}) {
    v1::StreamSoftTargetsRequest request = StreamRequest();
    request.set_encoding(c.encoding);
    request.set_top_k(c.top_k);
    const ReadStream stream = ReadWholeStream(server_, request);
    ASSERT_THAT(stream.status, IsOk()) << c.encoding;
    ASSERT_EQ(stream.trailers.size(), 1U);
    EXPECT_EQ(stream.trailers[0].byte_count(), 100 * c.row_bytes);
    std::string all;
    for (const v1::SoftTargetChunk& chunk : stream.chunks) all += TensorBytes(chunk);
    EXPECT_EQ(stream.trailers[0].crc32c(), Crc32c(all));
    EXPECT_EQ(stream.chunks[0].has_row_scales(), c.encoding == v1::ENCODING_INT8);
    EXPECT_EQ(stream.chunks[0].has_tail_mass(), c.top_k > 0);
  }
}

TEST_F(StreamOptions, Fault40_ATopKThatIsNoneIsRefused) {
  for (const int32_t top_k : {-1, 0, 11}) {
    v1::StreamSoftTargetsRequest request = StreamRequest();
    request.set_encoding(v1::ENCODING_TOP_K);
    request.set_top_k(top_k);
    EXPECT_THAT(ReadWholeStream(server_, request).status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top_k")));
  }
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_top_k(3);
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top_k")));
}

TEST_F(StreamOptions, SamplesComeWithTheTargetsAsTheStudentWouldSeeThem) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_include_samples(true);
  request.mutable_augmentation()->set_name("jitter:2+flip");
  request.mutable_augmentation()->set_seed(5);
  request.mutable_augmentation()->set_view(2);
  const ReadStream stream = ReadWholeStream(server_, request);
  ASSERT_THAT(stream.status, IsOk());
  std::string pixels;
  std::string labels;
  for (const v1::SoftTargetChunk& chunk : stream.chunks) {
    EXPECT_EQ(chunk.inputs().data_type(), v1::DATA_TYPE_UINT8);
    ASSERT_EQ(chunk.inputs().shape_size(), 4);
    pixels += chunk.inputs().data();
    labels += chunk.labels().data();
  }
  DatasetCatalog catalog("");
  const auto dataset = *catalog.Open({"digits", "train", 100});
  View view;
  view.augmentation = *Augmentation::Parse("jitter:2+flip");
  view.seed = 5;
  view.view = 2;
  std::vector<int64_t> rows(100);
  std::vector<int32_t> expected_labels;
  for (int64_t row = 0; row < 100; ++row) {
    rows[static_cast<size_t>(row)] = row;
    expected_labels.push_back(dataset->Label(row));
  }
  std::string expected(6400, '\0');
  ASSERT_THAT(LoadRecords(*dataset, rows, view, reinterpret_cast<uint8_t*>(expected.data())),
              IsOk());
  EXPECT_EQ(pixels, expected);
  EXPECT_EQ(labels, std::string(reinterpret_cast<const char*>(expected_labels.data()), 400));
}

TEST_F(StreamOptions, SamplesAloneDoNotAskTheTeacher) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_include_samples(true);
  request.set_representation(v1::REPRESENTATION_NONE);
  request.set_start_row(90);
  const ReadStream stream = ReadWholeStream(server_, request);
  ASSERT_THAT(stream.status, IsOk());
  ASSERT_EQ(stream.chunks.size(), 1U);
  EXPECT_FALSE(stream.chunks[0].has_values());
  EXPECT_EQ(stream.chunks[0].labels().shape(0), 10);
  EXPECT_EQ(stream.trailers[0].row_count(), 10);
  EXPECT_EQ(probe_.calls.load(), 0);
}

TEST_F(StreamOptions, AnUnknownModelIsNotFound) {
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_model_name("fike");
  EXPECT_THAT(ReadWholeStream(server_, request).status,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean \"fake\"?")));
}

TEST_F(StreamOptions, TwoStreamsOfOneShardComputeItOnce) {
  Gate gate;
  probe_.before = [&](int64_t /*call*/) {
    gate.Pass();
    return absl::OkStatus();
  };
  ReadStream first;
  ReadStream second;
  std::thread one([&] { first = ReadWholeStream(server_, StreamRequest()); });
  std::thread two([&] { second = ReadWholeStream(server_, StreamRequest()); });
  gate.AwaitArrival();
  gate.Open();
  one.join();
  two.join();
  ASSERT_THAT(first.status, IsOk());
  EXPECT_EQ(first.bytes, second.bytes);
  EXPECT_EQ(probe_.calls.load(), 4);
}

TEST(StreamLimits, AClientMayOpenSoManyStreams) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t /*call*/) {
    gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer::Options options;
  options.service.streams.max_streams_per_client = 1;
  TeacherServer server(options);
  server.SetTeacher(std::make_shared<FakeTeacher>(32, &probe));
  std::thread first([&] { EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk()); });
  gate.AwaitArrival();
  EXPECT_THAT(
      ReadWholeStream(server, StreamRequest()).status,
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("--max-streams-per-client")));
  gate.Open();
  first.join();
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
}

TEST(StreamLimits, Fault22_AStreamThatIsNotReadIsEndedAndOthersGoOn) {
  FakeClock clock;
  TeacherServer::Options options;
  options.service.streams.idle_limit = absl::Seconds(60);
  TeacherServer server(options, &clock);
  server.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/1024, nullptr));
  // Samples as well: 1,400 rows of 64 + 44 bytes a view do not fit into what gRPC buffers, so that
  // a write stays open. Streams are opened until one does.
  grpc::ClientContext context;
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.mutable_dataset()->set_shard_size(1400);
  request.set_include_samples(true);
  const auto reader = server.stub().StreamSoftTargets(&context, request);
  v1::StreamSoftTargetsResponse message;
  ASSERT_TRUE(reader->Read(&message));
  while (server.service().streams().statistics().byte_count == 0) std::this_thread::yield();
  clock.Advance(absl::Seconds(59));
  server.service().streams().EndIdle();
  EXPECT_EQ(server.service().streams().statistics().failed_count, 0);
  // The write that stays open may have begun only now.
  while (server.service().streams().statistics().failed_count == 0) {
    clock.Advance(absl::Seconds(1));
    server.service().streams().EndIdle();
    std::this_thread::yield();
  }
  while (reader->Read(&message)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
}

TEST(DescribeDataset, SaysWhatAWorkerWithoutTheDataNeeds) {
  TeacherServer server;
  v1::DescribeDatasetRequest request;
  request.mutable_dataset()->set_name("digits");
  request.mutable_dataset()->set_split("validation");
  request.mutable_dataset()->set_shard_size(100);
  v1::DescribeDatasetResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.stub().DescribeDataset(&context, request, &response).ok());
  DatasetCatalog catalog("");
  const auto dataset = *catalog.Open({"digits", "validation", 100});
  EXPECT_EQ(response.dataset_digest(), dataset->digest());
  EXPECT_EQ(response.sample_count(), 280);
  EXPECT_EQ(response.stored_sample_count(), 1797);
  EXPECT_EQ(response.pixel_max(), 16);
  EXPECT_EQ(response.class_names_size(), 10);
  ASSERT_EQ(response.stored_indexes().data().size(), 280U * 4);
  int32_t last = 0;
  std::memcpy(&last, &response.stored_indexes().data()[279 * 4], 4);
  EXPECT_EQ(last, dataset->StoredIndex(279));

  request.mutable_dataset()->set_name("digit");
  grpc::ClientContext second;
  EXPECT_EQ(server.stub().DescribeDataset(&second, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

class ReloadTest : public ::testing::Test {
 protected:
  static TeacherServer::Options Options(ReloadTest* test, std::vector<std::string> clients) {
    TeacherServer::Options options;
    options.address = "127.0.0.1:0";  // who calls is told by a real connection alone
    options.service.reload_clients = std::move(clients);
    options.service.load =
        [test](const std::string& name) -> absl::StatusOr<std::shared_ptr<Teacher>> {
      if (!test->load_error_.ok()) return test->load_error_;
      auto teacher = std::make_shared<FakeTeacher>(32, nullptr);
      teacher->set_name(name);
      teacher->set_digest("digest " + std::to_string(++test->loads_));
      return teacher;
    };
    return options;
  }
  static absl::Status Reload(TeacherServer& server, const std::string& id,
                             v1::ReloadModelResponse* response) {
    v1::ReloadModelRequest request;
    request.set_request_id(id);
    grpc::ClientContext context;
    return FromGrpcStatus(server.stub().ReloadModel(&context, request, response));
  }
  int loads_ = 0;
  absl::Status load_error_;
};

TEST_F(ReloadTest, NobodyMayUnlessNamed) {
  TeacherServer server(Options(this, {"operator.example"}));
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  v1::ReloadModelResponse response;
  EXPECT_THAT(Reload(server, "a", &response),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("--allow-reload")));
  EXPECT_EQ(loads_, 0);
}

TEST_F(ReloadTest, ChangesTheDigestOncePerRequestId) {
  TeacherServer server(Options(this, {"loopback"}));
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  v1::ReloadModelResponse response;
  ASSERT_THAT(Reload(server, "a", &response), IsOk());
  EXPECT_EQ(response.teacher().teacher_digest(), "digest 1");
  ASSERT_THAT(Reload(server, "a", &response), IsOk());
  EXPECT_EQ(response.teacher().teacher_digest(), "digest 1");
  ASSERT_THAT(Reload(server, "b", &response), IsOk());
  EXPECT_EQ(response.teacher().teacher_digest(), "digest 2");
  EXPECT_EQ(ReadWholeStream(server, StreamRequest()).headers[0].teacher_digest(), "digest 2");
  v1::StreamSoftTargetsRequest request = StreamRequest();
  request.set_expected_teacher_digest("digest 1");
  EXPECT_THAT(ReadWholeStream(server, request).status,
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Reload(server, "../x", &response), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ReloadTest, AFileThatIsNoModelLeavesTheOldOneServing) {
  TeacherServer server(Options(this, {"loopback"}));
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  load_error_ = absl::InvalidArgumentError("/secret/path/t.pt is no TorchScript");
  v1::ReloadModelResponse response;
  const absl::Status status = Reload(server, "a", &response);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("/secret")));
  EXPECT_EQ(ReadWholeStream(server, StreamRequest()).headers[0].teacher_digest(),
            "fake-teacher-digest");
}

TEST(ListTeachers, ShowsAllEvenThoseThatAreLoading) {
  TeacherServer server;
  ASSERT_THAT(server.host().models().Declare("other"), IsOk());
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  v1::ListTeachersResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(server.stub().ListTeachers(&context, {}, &response).ok());
  ASSERT_EQ(response.teachers_size(), 2);
  EXPECT_TRUE(response.teachers(0).ready());
  EXPECT_EQ(response.teachers(1).model_name(), "other");
  EXPECT_FALSE(response.teachers(1).ready());
}

TEST(StreamLog, NamesTheEncodingAndOfOneThatIsUnknownTheNumber) {
  const LogLines log;
  {
    TeacherServer server;
    server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
    for (const int encoding : {0, 2, 3, 77}) {
      v1::StreamSoftTargetsRequest request = StreamRequest();
      request.set_encoding(static_cast<v1::Encoding>(encoding));
      (void)ReadWholeStream(server, request);
    }
  }  // all lines are written
  std::string lines;
  for (const std::string& line : log.Of("info")) lines += line;
  for (const char* const name : {"float32", "float16", "int8", "77"}) {
    EXPECT_THAT(lines, HasSubstr(absl::StrCat(" encoding=", name, " ")));
  }
}

}  // namespace
}  // namespace distillery
