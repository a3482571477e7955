#include "common/rpc/request_statistics.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "common/base/clock.h"
#include "common/rpc/status_conversion.h"

namespace distillery {
namespace {

// "/package.Service/Method" of a service of ours, and none that a client made up: each that is
// counted is kept.
bool IsOurs(const std::string& path) {
  constexpr absl::string_view kOurs = "/distillery.";
  if (!absl::StartsWith(path, kOurs)) return false;
  std::string name = path.substr(1);
  std::replace(name.begin(), name.end(), '/', '.');
  return google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(name) != nullptr;
}

}  // namespace

class RequestStatistics::Interceptor : public grpc::experimental::Interceptor {
 public:
  Interceptor(RequestStatistics* statistics, std::string method)
      : statistics_(statistics), method_(std::move(method)), started_(Clock::Real()->SteadyNow()) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const absl::Status status = FromGrpcStatus(methods->GetSendStatus());
      statistics_->Note(method_, absl::StatusCodeToString(status.code()),
                        Clock::Real()->SteadyNow() - started_);
    }
    methods->Proceed();
  }

 private:
  RequestStatistics* const statistics_;
  const std::string method_;
  const absl::Duration started_;
};

class RequestStatistics::Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(RequestStatistics* statistics) : statistics_(statistics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    const std::string method = info->method();
    // No interceptor: the call goes on without.
    if (!IsOurs(method)) return nullptr;
    return new Interceptor(statistics_, method.substr(method.rfind('/') + 1));  // owned by gRPC
  }

 private:
  RequestStatistics* const statistics_;
};

const std::vector<double>& RequestStatistics::Bounds() {
  static const auto* const bounds =
      new std::vector<double>{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30};
  return *bounds;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
RequestStatistics::MakeInterceptors() {
  return std::make_unique<Factory>(this);
}

std::map<std::string, RequestStatistics::Method> RequestStatistics::methods() const {
  MutexLock lock(mutex_);
  return methods_;
}

void RequestStatistics::Note(const std::string& name, const std::string& code,
                             absl::Duration time) {
  const double seconds = absl::ToDoubleSeconds(time);
  MutexLock lock(mutex_);
  Method& method = methods_[name];
  method.at_most.resize(Bounds().size());
  ++method.count;
  method.seconds += seconds;
  for (size_t i = 0; i < Bounds().size(); ++i) method.at_most[i] += seconds <= Bounds()[i];
  ++method.codes[code];
}

}  // namespace distillery
