// Answers INTERNAL to a request that does not parse, as gRPC's own sync and async servers do. Its
// callback servers answer UNIMPLEMENTED without a word (server_callback_handlers.h), which says
// that the method does not exist.
#pragma once

#include <grpcpp/support/server_interceptor.h>

namespace distillery {

inline constexpr char kUnparsableRequest[] = "the request's bytes are no message of this method";

class UnparsableRequestInterceptor : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      // Neither our methods nor UnknownMethodService answer so.
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED &&
          status.error_message().empty()) {
        methods->ModifySendStatus({grpc::StatusCode::INTERNAL, kUnparsableRequest});
      }
    }
    methods->Proceed();
  }

  class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
   public:
    grpc::experimental::Interceptor* CreateServerInterceptor(
        grpc::experimental::ServerRpcInfo* /*info*/) override {
      return new UnparsableRequestInterceptor;  // owned by gRPC
    }
  };
};

}  // namespace distillery
