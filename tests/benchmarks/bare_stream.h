// A bare gRPC stream, which benchmarks of bulk streams compare with: messages of one size from
// memory that is there already, and nothing else.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <string>

namespace distillery {

// Deletes itself.
class BareStream : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  // `walks`: messages walk through as much of `memory` as they send, rather than repeat one buffer.
  // REQUIRES: `memory` is no shorter than a message, and outlives the stream.
  BareStream(size_t message_bytes, size_t total_bytes, bool walks, const std::string& memory)
      : memory_(memory), message_bytes_(message_bytes), left_(total_bytes), walks_(walks) {
    Next();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::CANCELLED);
    } else {
      Next();
    }
  }
  void OnDone() override { delete this; }

 private:
  void Next() {
    const size_t size = std::min(message_bytes_, left_);
    if (size == 0) {
      Finish(grpc::Status::OK);
      return;
    }
    if (walks_ || size != message_.Length()) {
      const size_t at = walks_ ? (memory_.size() - left_ % memory_.size()) % memory_.size() : 0;
      const grpc::Slice slice(memory_.data() + std::min(at, memory_.size() - size), size,
                              grpc::Slice::STATIC_SLICE);
      message_ = grpc::ByteBuffer(&slice, 1);
    }
    left_ -= size;
    StartWrite(&message_);
  }

  const std::string& memory_;
  const size_t message_bytes_;
  size_t left_;
  const bool walks_;
  grpc::ByteBuffer message_;
};

}  // namespace distillery
