#include "common/rpc/metrics_exposer.h"

#include <microhttpd.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/listening_sockets.h"
#include "common/rpc/metrics_places.h"
#include "common/rpc/process_metrics.h"
#include "common/rpc/transport.h"

namespace distillery {
namespace {

// Connections that have lost their places go soon, but not at once.
constexpr unsigned kMaxConnections = 2 * MetricsPlaces::kMost;
constexpr unsigned kIdleSeconds = 10;

// `places` are the MetricsPlaces.
void OnConnection(void* places, MHD_Connection* connection, void** /*state*/,
                  MHD_ConnectionNotificationCode what) {
  const MHD_ConnectionInfo* const socket =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  const MHD_ConnectionInfo* const client =
      MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  if (socket == nullptr || client == nullptr) return;
  auto* const all = static_cast<MetricsPlaces*>(places);
  if (what == MHD_CONNECTION_NOTIFY_STARTED) {
    all->Enter(socket->connect_fd, client->client_addr);
  } else {
    all->Leave(socket->connect_fd);
  }
}

MHD_Result Respond(MHD_Connection* connection, unsigned code, std::string text) {
  MHD_Response* const response =
      MHD_create_response_from_buffer(text.size(), text.data(), MHD_RESPMEM_MUST_COPY);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                          "text/plain; version=0.0.4; charset=utf-8");
  const MHD_Result result = MHD_queue_response(connection, code, response);
  MHD_destroy_response(response);
  return result;
}

// `collectable` is the prometheus::Collectable. Bodies of requests are not read.
MHD_Result Answer(void* collectable, MHD_Connection* connection, const char* url,
                  const char* method, const char* /*version*/, const char* /*data*/,
                  size_t* /*size*/, void** /*state*/) {
  const absl::string_view verb(method);
  if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD) {
    return Respond(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET /metrics is all there is\n");
  }
  if (absl::string_view(url) != "/metrics") {
    return Respond(connection, MHD_HTTP_NOT_FOUND, "metrics are at /metrics\n");
  }
  std::vector<prometheus::MetricFamily> families =
      static_cast<prometheus::Collectable*>(collectable)->Collect();
  for (prometheus::MetricFamily& family : CollectProcessMetrics()) {
    families.push_back(std::move(family));
  }
  return Respond(connection, MHD_HTTP_OK, prometheus::TextSerializer().Serialize(families));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Start(
    const Options& options, bool insecure, std::shared_ptr<prometheus::Collectable> collectable) {
  if (options.address.empty()) return nullptr;
  DISTILLERY_RETURN_IF_ERROR(Annotate(CheckPort(options.address), "--metrics-listen"));
  if (!insecure && !options.insecure && !IsLoopback(options.address)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--metrics-listen ", options.address,
        " is not loopback: metrics are served in plain HTTP, so give --metrics-insecure "
        "(or --insecure) on a network that you trust"));
  }
  DISTILLERY_ASSIGN_OR_RETURN(ListeningSockets sockets,
                              ListenOn(options.address, "--metrics-listen"));
  std::unique_ptr<MetricsExposer> result(new MetricsExposer(std::move(collectable)));
  result->address_ = sockets.address;
  result->unix_path_ = sockets.unix_path;
  for (Descriptor& socket : sockets.sockets) {
    MHD_Daemon* const daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_ITC, /*port=*/0, /*apc=*/nullptr,
        /*apc_cls=*/nullptr, &Answer, result->collectable_.get(), MHD_OPTION_LISTEN_SOCKET,
        socket.get(), MHD_OPTION_CONNECTION_LIMIT, kMaxConnections, MHD_OPTION_CONNECTION_TIMEOUT,
        kIdleSeconds, MHD_OPTION_NOTIFY_CONNECTION, &OnConnection, result->places_.get(),
        MHD_OPTION_END);
    if (daemon == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("cannot serve metrics on ", options.address, ": no thread or no memory"));
    }
    socket.Release();  // the daemon closes it
    result->daemons_.push_back(daemon);
  }
  if (!options.address_file.empty()) {
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(options.address_file, result->address_ + "\n"));
  }
  return result;
}

MetricsExposer::MetricsExposer(std::shared_ptr<prometheus::Collectable> collectable)
    : collectable_(std::move(collectable)), places_(std::make_unique<MetricsPlaces>()) {}

MetricsExposer::~MetricsExposer() {
  for (MHD_Daemon* const daemon : daemons_) MHD_stop_daemon(daemon);
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void AddMetricsFlags(CommandLine* line, MetricsExposer::Options* options) {
  const std::string group = "Metrics";
  line->Add("--metrics-listen", options->address,
            "show metrics to Prometheus at http://HOST:PORT/metrics; port 0: any free "
            "(default: none)")
      .Group(group);
  line->Add("--metrics-address-file", options->address_file,
            "write that address here once it is served")
      .Group(group);
  line->Add("--metrics-insecure", options->insecure,
            "show them on addresses other than loopback, although they are plain HTTP")
      .Group(group);
}

}  // namespace distillery
