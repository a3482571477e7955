#include "tests/benchmarks/bare_exchange.h"

#include <fcntl.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/descriptor.h"
#include "common/base/files.h"
#include "common/base/stop_signal.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "tests/benchmarks/bare_stream.h"

namespace distillery {
namespace {

constexpr size_t kMemoryBytes = 4 << 20;
constexpr size_t kWriteBytes = 1 << 20;

class BareReader : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  BareReader() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok) {
      StartRead(&message_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

using Base = v1::CoordinatorService::CallbackService;

class BareExchangeService final
    : public v1::CoordinatorService::WithRawCallbackMethod_DownloadWeights<
          v1::CoordinatorService::WithRawCallbackMethod_UploadDelta<Base>> {
 public:
  grpc::ServerWriteReactor<grpc::ByteBuffer>* DownloadWeights(
      grpc::CallbackServerContext* /*context*/, const grpc::ByteBuffer* request) override {
    grpc::ByteBuffer copy(*request);
    v1::DownloadWeightsRequest message;
    // Bytes that do not parse leave an empty message, and make an empty stream.
    (void)grpc::SerializationTraits<v1::DownloadWeightsRequest>::Deserialize(&copy, &message);
    return new BareStream(static_cast<size_t>(message.round()),
                          static_cast<size_t>(message.start_offset()), /*walks=*/false,
                          memory_);  // deletes itself
  }
  grpc::ServerReadReactor<grpc::ByteBuffer>* UploadDelta(grpc::CallbackServerContext* /*context*/,
                                                         grpc::ByteBuffer* response) override {
    const grpc::Slice nothing;
    *response = grpc::ByteBuffer(&nothing, 1);
    return new BareReader;  // deletes itself
  }

 private:
  const std::string memory_ = std::string(kMemoryBytes, 'x');
};

}  // namespace

absl::Status ServeBareExchange(const std::string& address_file) {
  BareExchangeService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::UnavailableError("cannot listen on 127.0.0.1");
  const absl::Status written = WriteFileDurably(address_file, absl::StrCat("127.0.0.1:", port));
  if (!written.ok()) return written;
  StopSignal::Wait();
  server->Shutdown();
  return absl::OkStatus();
}

v1::DownloadWeightsRequest BareDownload(int64_t message_bytes, int64_t total_bytes) {
  v1::DownloadWeightsRequest request;
  request.set_round(static_cast<int32_t>(message_bytes));
  request.set_start_offset(total_bytes);
  return request;
}

absl::StatusOr<double> WriteBareFile(const std::string& path, int64_t total_bytes) {
  const std::string bytes(kWriteBytes, 'x');
  const absl::Time start = absl::Now();
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoStatus(errno, absl::StrCat("cannot create ", path));
  for (int64_t left = total_bytes; left > 0;) {
    const ssize_t written =
        write(file.get(), bytes.data(), std::min(bytes.size(), static_cast<size_t>(left)));
    if (written < 0) return ErrnoStatus(errno, absl::StrCat("cannot write ", path));
    left -= written;
  }
  if (fdatasync(file.get()) != 0) return ErrnoStatus(errno, absl::StrCat("cannot sync ", path));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  unlink(path.c_str());
  return seconds;
}

}  // namespace distillery
