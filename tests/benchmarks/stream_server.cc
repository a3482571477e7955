#include "tests/benchmarks/stream_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/stop_signal.h"
#include "common/data/class_names.h"
#include "common/rpc/server.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "teacher_service/rpc/teacher_service.h"
#include "tests/benchmarks/bare_stream.h"
#include "tests/benchmarks/sample_files.h"

namespace distillery {
namespace {

constexpr int64_t kMaxShardRows = 65536;
constexpr int64_t kLeastBytes = int64_t{16} << 20;

// Fills the cache once; what its logits are does not matter.
class CountingTeacher : public Teacher {
 public:
  explicit CountingTeacher(const StreamCase& stream) {
    info_.digest = "benchmark-" + stream.name();
    info_.model_name = stream.name();
    info_.card.samples = SampleSpec::Pictures({1, 1, 1}, 255);
    info_.card.mean = {0};
    info_.card.deviation = {1};
    info_.card.class_names = NumberedClassNames(stream.classes);
    info_.batch_rows = 256;
  }
  const TeacherInfo& info() const override { return info_; }
  absl::Status ComputeLogits(const InputColumns& /*inputs*/, int64_t rows, float* logits) override {
    const int64_t count = rows * info_.card.class_count();
    for (int64_t i = 0; i < count; ++i) logits[i] = static_cast<float>(i % 977) / 64 - 7;
    return absl::OkStatus();
  }

 private:
  TeacherInfo info_;
};

class BareService final : public v1::TeacherService::WithRawCallbackMethod_StreamSoftTargets<
                              v1::TeacherService::CallbackService> {
 public:
  explicit BareService(size_t memory_bytes) : memory_(memory_bytes, 'x') {}
  grpc::ServerWriteReactor<grpc::ByteBuffer>* StreamSoftTargets(
      grpc::CallbackServerContext* /*context*/, const grpc::ByteBuffer* request) override {
    grpc::ByteBuffer copy(*request);
    v1::StreamSoftTargetsRequest message;
    // Bytes that do not parse leave an empty message, and make an empty stream.
    (void)grpc::SerializationTraits<v1::StreamSoftTargetsRequest>::Deserialize(&copy, &message);
    return new BareStream(static_cast<size_t>(message.shard()),
                          static_cast<size_t>(message.start_row()), message.include_samples(),
                          memory_);  // deletes itself
  }

 private:
  const std::string memory_;
};

}  // namespace

StreamCase MakeStreamCase(int64_t classes, int64_t shard_bytes) {
  StreamCase stream;
  stream.classes = classes;
  stream.shard_rows = std::max<int64_t>(1, std::min(kMaxShardRows, shard_bytes / (classes * 4)));
  stream.shard_count = (kLeastBytes + stream.shard_bytes() - 1) / stream.shard_bytes();
  return stream;
}

absl::Status ServeStreams(const StreamServerOptions& options) {
  int64_t largest = 0;
  TeacherHost::Options host_options;
  host_options.data_dir = options.folder + "/data";
  host_options.cache.folder = options.folder + "/cache";
  host_options.cache.max_bytes = int64_t{8} << 30;
  host_options.compute.slots = 2;
  host_options.logits.memory_bytes = 1 << 20;
  DISTILLERY_ASSIGN_OR_RETURN(const auto host, TeacherHost::Create(host_options));
  for (const StreamCase& stream : options.cases) {
    largest = std::max(largest, stream.shard_bytes());
    DISTILLERY_RETURN_IF_ERROR(
        WriteNpyFolder(absl::StrCat(host_options.data_dir, "/", stream.name()),
                       stream.shard_rows * stream.shard_count, stream.classes));
    DISTILLERY_RETURN_IF_ERROR(host->models().Declare(stream.name()));
    DISTILLERY_RETURN_IF_ERROR(
        host->models().Set(stream.name(), std::make_shared<CountingTeacher>(stream)));
  }
  BareService bare(static_cast<size_t>(largest));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&bare);
  const std::unique_ptr<grpc::Server> bare_server = builder.BuildAndStart();
  if (bare_server == nullptr) return absl::UnavailableError("cannot listen on 127.0.0.1");
  DISTILLERY_RETURN_IF_ERROR(
      WriteFileDurably(options.folder + "/bare.address", absl::StrCat("127.0.0.1:", port)));
  TeacherServiceImpl service({}, host.get());
  RpcServer::Options server_options;
  server_options.address_file = options.address_file;
  DISTILLERY_ASSIGN_OR_RETURN(
      const auto server,
      RpcServer::Start(server_options, {{v1::TeacherService::service_full_name(), &service}}));
  StopSignal::Wait();
  host->Drain();
  bare_server->Shutdown();
  server->Shutdown(absl::Seconds(1));
  host->Close();
  return absl::OkStatus();
}

}  // namespace distillery
