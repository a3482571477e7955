// How many calls of each of our methods ended how, and how long they took; counted by a server
// interceptor, so that handlers need not know.
//
// Threads: safe for all.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace distillery {

class RequestStatistics {
 public:
  struct Method {
    int64_t count = 0;
    // From the first byte of the call to its status; waits and whole streams included.
    double seconds = 0;
    // Cumulative, by Bounds.
    std::vector<int64_t> at_most;
    // By status code, such as "OK".
    std::map<std::string, int64_t> codes;
  };
  // Seconds.
  static const std::vector<double>& Bounds();

  // For RpcServer::Options; this must outlive the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeInterceptors();
  // By name of the method, without its service. Methods of other services (health, reflection) are
  // not counted.
  std::map<std::string, Method> methods() const;

 private:
  class Interceptor;
  class Factory;
  void Note(const std::string& method, const std::string& code, absl::Duration time);

  mutable Mutex mutex_;
  std::map<std::string, Method> methods_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace distillery
