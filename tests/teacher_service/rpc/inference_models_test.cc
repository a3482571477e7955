// What the Open Inference Protocol says about models: ready or not, metadata, configuration,
// statistics.
#include "absl/strings/str_cat.h"
#include "tests/teacher_service/rpc/inference_server.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool ServerReady(InferenceServer& server) {
  inference::ServerReadyResponse response;
  EXPECT_THAT(server.Call(&InferenceStub::ServerReady, inference::ServerReadyRequest(), &response),
              IsOk());
  return response.ready();
}

absl::StatusOr<bool> ModelReady(InferenceServer& server, const std::string& name,
                                const std::string& version = "") {
  inference::ModelReadyRequest request;
  request.set_name(name);
  request.set_version(version);
  inference::ModelReadyResponse response;
  const absl::Status status = server.Call(&InferenceStub::ModelReady, request, &response);
  if (!status.ok()) return status;
  return response.ready();
}

absl::Status Metadata(InferenceServer& server, const std::string& name,
                      inference::ModelMetadataResponse* response, const std::string& version = "") {
  inference::ModelMetadataRequest request;
  request.set_name(name);
  request.set_version(version);
  return server.Call(&InferenceStub::ModelMetadata, request, response);
}

absl::Status Config(InferenceServer& server, const std::string& name,
                    inference::ModelConfigResponse* response, const std::string& version = "") {
  inference::ModelConfigRequest request;
  request.set_name(name);
  request.set_version(version);
  return server.Call(&InferenceStub::ModelConfig, request, response);
}

MATCHER_P(Holds, expected, "") { return arg.ok() && *arg == expected; }

TEST(InferenceModels, Fault10_NothingIsReadyUntilItIsLoaded) {
  InferenceServer server;
  inference::ServerLiveResponse live;
  ASSERT_THAT(server.Call(&InferenceStub::ServerLive, inference::ServerLiveRequest(), &live),
              IsOk());
  EXPECT_TRUE(live.live());
  EXPECT_FALSE(ServerReady(server));
  EXPECT_THAT(ModelReady(server, "first"), Holds(false));
  grpc::ClientContext context;
  inference::ModelInferResponse answer;
  const grpc::Status status = server.stub().ModelInfer(&context, RawRequest(), &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("loading model first"));
  EXPECT_THAT(status.error_details(), HasSubstr("type.googleapis.com/google.rpc.RetryInfo"));
  inference::ModelMetadataResponse metadata;
  EXPECT_THAT(Metadata(server, "first", &metadata), StatusIs(absl::StatusCode::kUnavailable));
  inference::ModelConfigResponse config;
  EXPECT_THAT(Config(server, "first", &config), StatusIs(absl::StatusCode::kUnavailable));

  server.Load("first");
  EXPECT_THAT(ModelReady(server, "first"), Holds(true));
  EXPECT_THAT(ModelReady(server, "both"), Holds(false));
  EXPECT_FALSE(ServerReady(server));
  EXPECT_THAT(server.Infer(RawRequest(), &answer), IsOk());
  server.Load("second");
  EXPECT_THAT(ModelReady(server, "both", "1"), Holds(true));
  EXPECT_TRUE(ServerReady(server));
}

TEST(InferenceModels, Fault11_NothingIsReadyWhileDraining) {
  InferenceServer server;
  server.Load("first");
  server.Load("second");
  server.host().Drain();
  EXPECT_FALSE(ServerReady(server));
  EXPECT_THAT(ModelReady(server, "first"), Holds(false));
  inference::ModelInferResponse answer;
  EXPECT_THAT(server.Infer(RawRequest(), &answer),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("draining")));
  inference::ModelMetadataResponse metadata;
  EXPECT_THAT(Metadata(server, "first", &metadata), StatusIs(absl::StatusCode::kUnavailable));
  inference::ServerLiveResponse live;
  ASSERT_THAT(server.Call(&InferenceStub::ServerLive, inference::ServerLiveRequest(), &live),
              IsOk());
  EXPECT_TRUE(live.live());
}

TEST(InferenceModels, UnknownModelsAndVersionsAreNotFound) {
  InferenceServer server;
  server.Load("first");
  const auto not_found = StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean"));
  EXPECT_THAT(ModelReady(server, "frist"), not_found);
  inference::ModelMetadataResponse metadata;
  EXPECT_THAT(Metadata(server, "frist", &metadata), not_found);
  inference::ModelConfigResponse config;
  EXPECT_THAT(Config(server, "frist", &config), not_found);
  inference::ModelStatisticsRequest request;
  inference::ModelStatisticsResponse statistics;
  request.set_name("frist");
  EXPECT_THAT(server.Call(&InferenceStub::ModelStatistics, request, &statistics), not_found);

  const auto no_version = StatusIs(absl::StatusCode::kNotFound, HasSubstr("version must be"));
  EXPECT_THAT(ModelReady(server, "first", "2"), no_version);
  EXPECT_THAT(ModelReady(server, "second", "2"), no_version);  // while loading
  EXPECT_THAT(Metadata(server, "first", &metadata, "2"), no_version);
  EXPECT_THAT(Config(server, "first", &config, "2"), no_version);
  request.set_name("first");
  request.set_version("2");
  EXPECT_THAT(server.Call(&InferenceStub::ModelStatistics, request, &statistics), no_version);
  // A path is no name, and no path is in the text.
  EXPECT_THAT(ModelReady(server, "../first"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be")));
}

TEST(InferenceModels, MetadataDescribesTheServer) {
  InferenceServer server;
  inference::ServerMetadataResponse response;
  ASSERT_THAT(
      server.Call(&InferenceStub::ServerMetadata, inference::ServerMetadataRequest(), &response),
      IsOk());
  EXPECT_EQ(response.name(), "distillery");
  EXPECT_EQ(response.version(), DISTILLERY_VERSION);
  EXPECT_THAT(response.extensions(),
              ElementsAre("classification", "model_configuration", "statistics"));
}

TEST(InferenceModels, MetadataDescribesAModel) {
  InferenceServer server;
  server.Load("first", nullptr, /*classes=*/3);
  inference::ModelMetadataResponse response;
  ASSERT_THAT(Metadata(server, "", &response), IsOk());
  EXPECT_EQ(response.name(), "first");
  EXPECT_THAT(response.versions(), ElementsAre("1"));
  EXPECT_EQ(response.platform(), "pytorch_torchscript");
  ASSERT_EQ(response.inputs_size(), 1);
  EXPECT_EQ(response.inputs(0).name(), "inputs");
  EXPECT_EQ(response.inputs(0).datatype(), "FP32");
  EXPECT_THAT(response.inputs(0).shape(), ElementsAre(-1, 1, 8, 8));
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "soft_targets");
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_THAT(response.outputs(0).shape(), ElementsAre(-1, 3));
  EXPECT_EQ(response.properties().at("teacher_digest"), "first-digest");
  EXPECT_EQ(response.properties().at("class_names"), R"(["0","1","2"])");
  EXPECT_EQ(response.properties().at("numerics_fingerprint"), "isa=none");
  EXPECT_EQ(response.properties().at("top_k_outputs"),
            R"(["classes","probabilities","tail_mass"])");
}

TEST(InferenceModels, ConfigurationSaysHowAModelIsBatched) {
  InferenceServer server;
  server.Load("first");
  inference::ModelConfigResponse response;
  ASSERT_THAT(Config(server, "first", &response, "1"), IsOk());
  const inference::ModelConfig& config = response.config();
  EXPECT_EQ(config.name(), "first");
  EXPECT_EQ(config.platform(), "pytorch_torchscript");
  EXPECT_EQ(config.max_batch_size(), 1024);
  ASSERT_EQ(config.input_size(), 1);
  EXPECT_EQ(config.input(0).name(), "inputs");
  EXPECT_EQ(config.input(0).data_type(), inference::TYPE_FP32);
  EXPECT_EQ(config.input(0).format(), inference::ModelInput::FORMAT_NCHW);
  EXPECT_THAT(config.input(0).dims(), ElementsAre(1, 8, 8));
  ASSERT_EQ(config.output_size(), 1);
  EXPECT_EQ(config.output(0).name(), "soft_targets");
  EXPECT_EQ(config.output(0).data_type(), inference::TYPE_FP32);
  EXPECT_THAT(config.output(0).dims(), ElementsAre(10));
  EXPECT_EQ(config.dynamic_batching().max_queue_delay_microseconds(), 2000U);  // 2 ms
}

TEST(InferenceModels, AnEnsembleNamesItsMembers) {
  InferenceServer server;
  server.Load("first");
  server.Load("second");
  inference::ModelMetadataResponse metadata;
  ASSERT_THAT(Metadata(server, "both", &metadata), IsOk());
  EXPECT_EQ(metadata.platform(), "ensemble");
  inference::ModelConfigResponse response;
  ASSERT_THAT(Config(server, "both", &response), IsOk());
  EXPECT_EQ(response.config().platform(), "ensemble");
  EXPECT_FALSE(response.config().has_dynamic_batching());
  // perf_analyzer takes these for granted where the platform is "ensemble".
  const auto& steps = response.config().ensemble_scheduling().step();
  ASSERT_EQ(steps.size(), 2);
  EXPECT_EQ(steps[0].model_name(), "first");
  EXPECT_EQ(steps[1].model_name(), "second");
  EXPECT_EQ(steps[1].model_version(), -1);
  EXPECT_EQ(steps[1].input_map().at("inputs"), "inputs");
  EXPECT_EQ(steps[1].output_map().at("soft_targets"), "second.soft_targets");
}

TEST(InferenceModels, StatisticsOfAllModelsBeginAtZero) {
  InferenceServer server;
  inference::ModelStatisticsResponse response;
  ASSERT_THAT(
      server.Call(&InferenceStub::ModelStatistics, inference::ModelStatisticsRequest(), &response),
      IsOk());
  std::vector<std::string> names;
  for (const inference::ModelStatistics& one : response.model_stats()) {
    names.push_back(one.name());
    EXPECT_EQ(one.version(), "1");
    EXPECT_EQ(one.last_inference(), 0U);
    EXPECT_EQ(one.inference_count(), 0U);
    EXPECT_EQ(one.execution_count(), 0U);
    EXPECT_EQ(one.batch_stats_size(), 0);
  }
  EXPECT_THAT(names, ElementsAre("first", "second", "both"));
}

TEST(InferenceModels, StatisticsAddUp) {
  FakeClock clock;
  InferenceServer server(&clock);
  FakeTeacherProbe probe;
  probe.before = [&](int64_t /*call*/) {
    clock.Advance(absl::Milliseconds(3));  // each forward pass
    return absl::OkStatus();
  };
  server.Load("first", &probe);
  server.Load("second");
  inference::ModelInferResponse answer;
  for (const int64_t rows : {1, 5, 5}) ASSERT_THAT(server.Infer(RawRequest(rows), &answer), IsOk());
  inference::ModelInferRequest large = InferenceRequestFor(1030, "UINT8");  // over 1024 rows
  large.add_raw_input_contents(std::string(1030 * 64, '\1'));
  ASSERT_THAT(server.Infer(large, &answer), IsOk());

  const inference::ModelStatistics statistics = server.Statistics("first");
  EXPECT_EQ(statistics.inference_count(), 1041U);  // 1 + 5 + 5 + 1030
  EXPECT_EQ(statistics.execution_count(), 5U);     // 1 + 1 + 1 + 2
  // The clock starts at 1000 s, and 5 passes took 3 ms each.
  EXPECT_EQ(statistics.last_inference(), 1'000'015U);
  const inference::InferStatistics& queries = statistics.inference_stats();
  EXPECT_EQ(queries.success().count(), 4U);
  EXPECT_EQ(queries.success().ns(), 15'000'000U);
  EXPECT_EQ(queries.fail().count(), 0U);
  EXPECT_EQ(queries.queue().count(), 4U);
  EXPECT_EQ(queries.queue().ns(), 0U);
  EXPECT_EQ(queries.compute_input().count(), 4U);
  EXPECT_EQ(queries.compute_infer().count(), 4U);
  EXPECT_EQ(queries.compute_infer().ns(), 15'000'000U);
  EXPECT_EQ(queries.compute_output().count(), 4U);
  std::vector<std::string> batches;
  for (const inference::InferBatchStatistics& batch : statistics.batch_stats()) {
    batches.push_back(absl::StrCat(batch.batch_size(), ": ", batch.compute_infer().count(), ", ",
                                   batch.compute_infer().ns()));
  }
  EXPECT_THAT(batches,
              ElementsAre("1: 1, 3000000", "5: 2, 6000000", "6: 1, 3000000", "1024: 1, 3000000"));
  EXPECT_EQ(server.Statistics("second").inference_count(), 0U);
}

}  // namespace
}  // namespace distillery
