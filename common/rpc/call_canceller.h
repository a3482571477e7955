// Cancels client calls from another thread: those in flight and those that come after.
#pragma once

#include <grpcpp/client_context.h>

#include <set>

#include "common/base/mutex.h"

namespace distillery {

class CallCanceller {
 public:
  // Threads: safe for all.
  void CancelAll() {
    MutexLock lock(mutex_);
    cancelled_ = true;
    for (grpc::ClientContext* const context : contexts_) context->TryCancel();
  }

  // Registers a context for as long as its call lasts.
  class Scope {
   public:
    Scope(CallCanceller* canceller, grpc::ClientContext* context)
        : canceller_(canceller), context_(context) {
      MutexLock lock(canceller_->mutex_);
      canceller_->contexts_.insert(context_);
      if (canceller_->cancelled_) context_->TryCancel();
    }
    ~Scope() {
      MutexLock lock(canceller_->mutex_);
      canceller_->contexts_.erase(context_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    CallCanceller* const canceller_;
    grpc::ClientContext* const context_;
  };

 private:
  Mutex mutex_;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace distillery
