#include "common/rpc/metrics_exposer.h"

#include <arpa/inet.h>

#include "common/base/files.h"
#include "common/rpc/metric_list.h"
#include "tests/common/rpc/client_socket.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"

namespace distillery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TwoNumbers : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    MetricList list("test_");
    list.Counter("rows_total", "Rows.", 3, {{"lane", "stream"}});
    list.Gauge("depth", "Depth.", 7);
    list.Counter("rows_total", "Rows.", 4, {{"lane", "query"}});
    MetricList::Histogram histogram;
    histogram.sample_count = 5;
    histogram.sample_sum = 9;
    histogram.bucket = {{2, 1}, {5, 2}};
    list.AddHistogram("size", "Sizes.", histogram);
    return list.Take();
  }
};

std::string Get(const std::string& address, const std::string& path,
                const std::string& method = "GET") {
  const Descriptor connection = ConnectTo(address);
  const std::string request =
      method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  send(connection.get(), request.data(), request.size(), 0);
  return ReadToEnd(connection);
}

TEST(MetricList, KeepsNumbersOfOneNameTogether) {
  std::vector<std::string> names;
  for (const auto& family : TwoNumbers().Collect()) names.push_back(family.name);
  EXPECT_THAT(names, ElementsAre("test_rows_total", "test_depth", "test_size"));
  EXPECT_EQ(TwoNumbers().Collect()[0].metric[1].counter.value, 4);
}

TEST(MetricsExposer, AnswersOverHttpAndTellsItsPort) {
  TemporaryFolder folder;
  MetricsExposer::Options options;
  options.address = "127.0.0.1:0";
  options.address_file = folder.File("address");
  ASSERT_OK_AND_ASSIGN(const auto exposer, MetricsExposer::Start(options, /*insecure=*/false,
                                                                 std::make_shared<TwoNumbers>()));
  EXPECT_EQ(*ReadFile(options.address_file, 100), exposer->address() + "\n");
  const std::string answer = Get(exposer->address(), "/metrics");
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, HasSubstr("# TYPE test_rows_total counter\n"
                                "test_rows_total{lane=\"stream\"} 3\n"
                                "test_rows_total{lane=\"query\"} 4\n"));
  EXPECT_THAT(answer, HasSubstr("test_size_bucket{le=\"+Inf\"} 5"));
  EXPECT_THAT(Get(exposer->address(), "/etc/passwd"), HasSubstr("404"));
  EXPECT_THAT(Get(exposer->address(), "/metrics", "DELETE"), HasSubstr("405"));
}

TEST(MetricsExposer, Fault63_400SlowRequestsOfOneAddressOrOfManyDoNotKeepPrometheusOut) {
  MetricsExposer::Options options;
  options.address = "127.0.0.1:0";
  ASSERT_OK_AND_ASSIGN(const auto exposer, MetricsExposer::Start(options, /*insecure=*/false,
                                                                 std::make_shared<TwoNumbers>()));
  const std::string half = "GET /metrics HTTP/1.1\r\nHost: localh";
  for (const in_addr_t addresses : {1, 100}) {
    std::vector<Descriptor> slow;
    for (in_addr_t i = 0; i < 400; ++i) {
      slow.push_back(ConnectTo(exposer->address(), INADDR_LOOPBACK + i % addresses));
      ASSERT_TRUE(slow.back().valid());
      send(slow.back().get(), half.data(), half.size(), MSG_NOSIGNAL);
    }
    for (int i = 0; i < 20; ++i) {
      EXPECT_THAT(Get(exposer->address(), "/metrics"), HasSubstr("200 OK"));
    }
  }
}

TEST(MetricsExposer, IsNoneWithoutAnAddress) {
  ASSERT_OK_AND_ASSIGN(const auto exposer,
                       MetricsExposer::Start({}, false, std::make_shared<TwoNumbers>()));
  EXPECT_EQ(exposer, nullptr);
}

TEST(MetricsExposer, ATakenPortIsNamed) {
  MetricsExposer::Options options;
  options.address = "127.0.0.1:0";
  const auto numbers = std::make_shared<TwoNumbers>();
  ASSERT_OK_AND_ASSIGN(const auto first, MetricsExposer::Start(options, false, numbers));
  options.address = first->address();
  EXPECT_THAT(MetricsExposer::Start(options, false, numbers),
              StatusIs(absl::StatusCode::kUnavailable,
                       "cannot listen on " + options.address +
                           ": the port is taken; choose another with --metrics-listen"));
}

TEST(MetricsExposer, PlainHttpBeyondLoopbackMustBeAskedFor) {
  MetricsExposer::Options options;
  options.address = "0.0.0.0:0";
  const auto numbers = std::make_shared<TwoNumbers>();
  EXPECT_THAT(MetricsExposer::Start(options, /*insecure=*/false, numbers),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--insecure")));
  ASSERT_OK_AND_ASSIGN(const auto exposer,
                       MetricsExposer::Start(options, /*insecure=*/true, numbers));
  const std::string port = exposer->address().substr(exposer->address().rfind(':'));
  EXPECT_THAT(Get("127.0.0.1" + port, "/metrics"), HasSubstr("test_depth 7"));
  // By itself as well, where calls are over TLS.
  options.insecure = true;
  EXPECT_THAT(MetricsExposer::Start(options, /*insecure=*/false, numbers), IsOk());
}

TEST(MetricsExposer, TellsOfTheProcessUnderTheUsualNames) {
  MetricsExposer::Options options;
  options.address = "127.0.0.1:0";
  ASSERT_OK_AND_ASSIGN(const auto exposer,
                       MetricsExposer::Start(options, false, std::make_shared<TwoNumbers>()));
  const std::string answer = Get(exposer->address(), "/metrics");
  const auto value = [&](const std::string& name) {
    const size_t at = answer.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(answer.substr(at + name.size() + 2));
  };
  EXPECT_GT(value("process_cpu_seconds_total"), 0);
  EXPECT_GT(value("process_resident_memory_bytes"), 1 << 20);
  // This thread and that of the endpoint.
  EXPECT_GE(value("process_threads"), 2);
  EXPECT_GE(value("process_open_fds"), 4);
  EXPECT_GE(value("process_max_fds"), value("process_open_fds"));
  const double now = static_cast<double>(time(nullptr));
  EXPECT_NEAR(value("process_start_time_seconds"), now, 600);
  EXPECT_LE(value("process_start_time_seconds"), now + 2);
}

}  // namespace
}  // namespace distillery
