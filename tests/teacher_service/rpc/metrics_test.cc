// What Prometheus is told, after traffic whose numbers are known.
#include "teacher_service/rpc/metrics.h"

#include <prometheus/metric_family.h>

#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/common/temporary_folder.h"
#include "tests/teacher_service/rpc/teacher_server.h"
#include "tests/teacher_service/teachers/gate.h"

namespace distillery {
namespace {

using ::testing::HasSubstr;

// Numbers by name and labels, as `rows_total{model="fake"}`, without the prefix; a histogram as its
// parts.
std::map<std::string, double> Collect(TeacherServer& server) {
  // A stream is counted when all is over, which its client may see a moment before.
  while (server.service().streams().statistics().open_count > 0) std::this_thread::yield();
  const TeacherMetrics metrics(&server.host(), &server.service().streams(), &server.server());
  std::map<std::string, double> numbers;
  constexpr absl::string_view kPrefix = "distillery_teacher_";
  for (const prometheus::MetricFamily& family : metrics.Collect()) {
    EXPECT_EQ(family.name.substr(0, kPrefix.size()), kPrefix);
    EXPECT_THAT(family.help, HasSubstr("."));
    const bool counts = family.type == prometheus::MetricType::Counter;
    EXPECT_EQ(absl::EndsWith(family.name, "_total"), counts) << family.name;
    const std::string name = family.name.substr(kPrefix.size());
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::string labels;
      for (const auto& label : metric.label) {
        absl::StrAppend(&labels, labels.empty() ? "" : ",", label.name, "=", label.value);
      }
      if (!labels.empty()) labels = absl::StrCat("{", labels, "}");
      if (family.type == prometheus::MetricType::Histogram) {
        numbers[absl::StrCat(name, "_sum", labels)] = metric.histogram.sample_sum;
        numbers[absl::StrCat(name, "_count", labels)] =
            static_cast<double>(metric.histogram.sample_count);
        for (const auto& bucket : metric.histogram.bucket) {
          numbers[absl::StrCat(name, "_le_", bucket.upper_bound, labels)] =
              static_cast<double>(bucket.cumulative_count);
        }
      } else {
        numbers[name + labels] = counts ? metric.counter.value : metric.gauge.value;
      }
    }
  }
  return numbers;
}

TEST(TeacherMetricsTest, CountsWhatWasServed) {
  FakeTeacherProbe probe;
  probe.before = [](int64_t call) {
    return call == 5 ? absl::InternalError("broken") : absl::OkStatus();
  };
  TeacherServer server;
  server.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe));
  // 100 rows in cuts of 32, 32, 32 and 4; then the same from memory.
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
  v1::StreamSoftTargetsRequest bad = StreamRequest();
  bad.set_temperature(0);
  EXPECT_THAT(ReadWholeStream(server, bad).status, StatusIs(absl::StatusCode::kInvalidArgument));
  // 2 rows, answered, and 2 rows that the teacher fails.
  v1::ComputeSoftTargetsResponse response;
  EXPECT_THAT(server.Compute(ComputeRequest(), &response), IsOk());
  EXPECT_THAT(server.Compute(ComputeRequest(), &response), StatusIs(absl::StatusCode::kInternal));

  std::map<std::string, double> numbers = Collect(server);
  EXPECT_EQ(numbers["rows_total{model=fake,lane=stream}"], 100);
  EXPECT_EQ(numbers["rows_total{model=fake,lane=query}"], 2);
  EXPECT_EQ(numbers["batches_total{model=fake,lane=stream}"], 4);
  EXPECT_EQ(numbers["batches_total{model=fake,lane=query}"], 2);
  EXPECT_EQ(numbers["batch_rows_le_1{model=fake}"], 0);
  EXPECT_EQ(numbers["batch_rows_le_2{model=fake}"], 2);
  EXPECT_EQ(numbers["batch_rows_le_4{model=fake}"], 3);
  EXPECT_EQ(numbers["batch_rows_le_16{model=fake}"], 3);
  EXPECT_EQ(numbers["batch_rows_le_32{model=fake}"], 6);
  EXPECT_EQ(numbers["batch_rows_le_inf{model=fake}"], 6);
  EXPECT_EQ(numbers["batch_rows_count{model=fake}"], 6);
  EXPECT_EQ(numbers["batch_rows_sum{model=fake}"], 104);
  EXPECT_EQ(numbers["queries_total{model=fake}"], 1);
  EXPECT_EQ(numbers["failed_queries_total{model=fake}"], 1);
  EXPECT_GT(numbers["compute_seconds_total{model=fake}"], 0);
  EXPECT_EQ(numbers["split_batches_total{model=fake}"], 0);
  EXPECT_EQ(numbers["finished_streams_total"], 2);
  EXPECT_EQ(numbers["failed_streams_total"], 1);
  EXPECT_EQ(numbers["open_streams"], 0);
  EXPECT_EQ(numbers["streamed_rows_total"], 200);
  // 10 float32 a row.
  EXPECT_EQ(numbers["streamed_bytes_total"], 200 * 10 * 4);
  EXPECT_GT(numbers["encode_seconds_total"], 0);
  EXPECT_EQ(numbers["memory_cache_bytes"], 100 * 10 * 4);
  EXPECT_EQ(numbers["memory_cache_hits_total"], 4);
  EXPECT_EQ(numbers["shared_cuts_total"], 0);
  EXPECT_EQ(numbers["queued_rows"], 0);
  EXPECT_EQ(numbers["queued_cuts"], 0);
  EXPECT_EQ(numbers["compute_slots"], 1);
  EXPECT_EQ(numbers[absl::StrCat("build_info{version=", DISTILLERY_VERSION, "}")], 1);
  EXPECT_EQ(numbers["model_info{model=fake,digest=fake-teacher-digest}"], 1);
  EXPECT_EQ(numbers["model_ready{model=fake}"], 1);
}

TEST(TeacherMetricsTest, ShowsADeviceThatIsBusyAndWhatWaitsForIt) {
  Gate gate;
  FakeTeacherProbe probe;
  probe.before = [&](int64_t /*call*/) {
    gate.Pass();
    return absl::OkStatus();
  };
  TeacherServer server;
  server.SetTeacher(std::make_shared<FakeTeacher>(/*batch_rows=*/32, &probe));
  grpc::ClientContext context;
  const auto reader = server.stub().StreamSoftTargets(&context, StreamRequest());
  gate.AwaitArrival();
  TeacherMetrics metrics(&server.host(), &server.service().streams(), &server.server());
  const auto gauge = [&](const std::string& name) {
    for (const auto& family : metrics.Collect()) {
      if (family.name == "distillery_teacher_" + name) return family.metric[0].gauge.value;
    }
    return -1.0;
  };
  EXPECT_EQ(gauge("busy_slots"), 1);
  EXPECT_EQ(gauge("open_streams"), 1);
  // Three cuts are read ahead; one of them is at the device.
  while (gauge("queued_cuts") != 2) std::this_thread::yield();
  EXPECT_EQ(gauge("draining"), 0);
  server.host().Drain();
  EXPECT_EQ(gauge("draining"), 1);
  gate.Open();
  v1::StreamSoftTargetsResponse message;
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(TeacherMetricsTest, AModelThatIsLoadingIsShownWithoutADigest) {
  TeacherServer server;
  const std::map<std::string, double> numbers = Collect(server);
  EXPECT_EQ(numbers.at("model_ready{model=fake}"), 0);
  EXPECT_EQ(numbers.at("rows_total{model=fake,lane=stream}"), 0);
  for (const auto& [name, value] : numbers) EXPECT_EQ(name.find("model_info"), std::string::npos);
  EXPECT_EQ(numbers.count("cache_hits_total"), 0U) << "there is no cache on disk";
}

TEST(TeacherMetricsTest, CountsTheCacheOnDisk) {
  TemporaryFolder folder;
  TeacherServer::Options options;
  options.host.cache.folder = folder.path();
  options.host.cache.max_bytes = 1 << 20;
  TeacherServer server(options);
  server.SetTeacher(std::make_shared<FakeTeacher>(32, nullptr));
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
  EXPECT_THAT(ReadWholeStream(server, StreamRequest()).status, IsOk());
  const LogitCache::Stats stats = server.host().cache()->stats();
  const std::map<std::string, double> numbers = Collect(server);
  // The file that was finished is read back, and then found by the second stream.
  EXPECT_EQ(numbers.at("cache_misses_total"), 1);
  EXPECT_EQ(numbers.at("cache_hits_total"), 2);
  EXPECT_EQ(numbers.at("cache_files"), 1);
  EXPECT_EQ(numbers.at("cache_bytes"), static_cast<double>(stats.bytes));
  EXPECT_GT(stats.bytes, 100 * 10 * 4);
  EXPECT_EQ(numbers.at("cache_evictions_total"), 0);
  EXPECT_EQ(numbers.at("cache_corrupt_files_total"), 0);
  EXPECT_EQ(numbers.at("cache_failed_writes_total"), 0);
}

}  // namespace
}  // namespace distillery
