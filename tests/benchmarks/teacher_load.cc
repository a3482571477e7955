#include "tests/benchmarks/teacher_load.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/philox.h"
#include "common/base/status_macros.h"
#include "common/data/pixels.h"
#include "common/rpc/status_conversion.h"
#include "distillery/v1/teacher_service.grpc.pb.h"

namespace distillery {
namespace {

std::unique_ptr<v1::TeacherService::Stub> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // Else all channels of this process share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::TeacherService::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

v1::ComputeSoftTargetsRequest QueryRequest(const TeacherLoad::Options& options, int64_t rows,
                                           int client, bool bytes = false) {
  RandomStream random(client, "benchmark query");
  constexpr int64_t kValues = 256;
  std::vector<uint8_t> stored(static_cast<size_t>(rows * options.shape.size()));
  for (uint8_t& pixel : stored) pixel = static_cast<uint8_t>(random.Below(kValues));
  std::vector<float> pixels(stored.size());
  ScalePixels(stored.data(), static_cast<int64_t>(stored.size()), kValues - 1, pixels.data());
  v1::ComputeSoftTargetsRequest request;
  request.set_temperature(4);
  v1::Tensor* const inputs = request.mutable_inputs();
  inputs->set_data_type(bytes ? v1::DATA_TYPE_UINT8 : v1::DATA_TYPE_FLOAT32);
  inputs->add_shape(rows);
  for (const int64_t size : options.shape.ToVector()) inputs->add_shape(size);
  if (options.top_k > 0) {
    request.set_encoding(v1::ENCODING_TOP_K);
    request.set_top_k(static_cast<int32_t>(options.top_k));
  }
  if (bytes) {
    inputs->set_data(stored.data(), stored.size());
  } else {
    inputs->set_data(pixels.data(), pixels.size() * sizeof(float));
  }
  return request;
}

absl::Status QueryOnce(v1::TeacherService::Stub& stub,
                       const v1::ComputeSoftTargetsRequest& request) {
  grpc::ClientContext context;
  v1::ComputeSoftTargetsResponse response;
  DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(stub.ComputeSoftTargets(&context, request, &response)));
  if (response.soft_targets().shape(0) == request.inputs().shape(0)) return absl::OkStatus();
  return absl::DataLossError("an answer of another size than its query");
}

// All rows of one shard.
absl::StatusOr<int64_t> StreamOnce(v1::TeacherService::Stub& stub,
                                   const v1::StreamSoftTargetsRequest& request) {
  grpc::ClientContext context;
  const auto reader = stub.StreamSoftTargets(&context, request);
  v1::StreamSoftTargetsResponse message;
  int64_t rows = -1;
  while (reader->Read(&message)) {
    if (message.has_trailer()) rows = message.trailer().row_count();
  }
  DISTILLERY_RETURN_IF_ERROR(FromGrpcStatus(reader->Finish()));
  if (rows < 0) return absl::AbortedError("a stream without its trailer");
  return rows;
}

// For the shards one after the other, then for all of them in the next view.
v1::StreamSoftTargetsRequest StreamRequest(const TeacherLoad::Options& options, int64_t index) {
  v1::StreamSoftTargetsRequest request;
  request.mutable_dataset()->set_name(options.dataset);
  request.mutable_dataset()->set_split("train");
  request.mutable_dataset()->set_shard_size(static_cast<int32_t>(options.shard_rows));
  request.set_shard(static_cast<int32_t>(index % options.shard_count));
  request.mutable_augmentation()->set_name("jitter:2");
  request.mutable_augmentation()->set_seed(1);
  request.mutable_augmentation()->set_view(static_cast<int32_t>(index / options.shard_count));
  request.set_temperature(4);
  if (options.top_k > 0) {
    request.set_encoding(v1::ENCODING_TOP_K);
    request.set_top_k(static_cast<int32_t>(options.top_k));
  }
  return request;
}

absl::Status FirstError(const std::vector<absl::Status>& statuses) {
  for (const absl::Status& status : statuses) DISTILLERY_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

using Stubs = std::vector<std::unique_ptr<v1::TeacherService::Stub>>;

// Over a connection each.
Stubs ConnectAll(const std::string& address, int count) {
  Stubs stubs;
  for (int i = 0; i < count; ++i) stubs.push_back(Connect(address));
  return stubs;
}

// Rows that threads 0 to `count` - 1 get by calling `once`, which returns its rows, for about
// `seconds` and one call each at least.
absl::StatusOr<int64_t> RowsOfAll(
    int count, double seconds, const std::function<absl::StatusOr<int64_t>(size_t thread)>& once) {
  std::vector<absl::Status> statuses(static_cast<size_t>(count));
  std::atomic<int64_t> total{0};
  std::vector<std::thread> threads;
  const absl::Time end = absl::Now() + absl::Seconds(seconds);
  for (size_t i = 0; i < statuses.size(); ++i) {
    threads.emplace_back([&, i] {
      do {
        const absl::StatusOr<int64_t> rows = once(i);
        statuses[i] = rows.status();
        if (rows.ok()) total += *rows;
      } while (absl::Now() < end && statuses[i].ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  DISTILLERY_RETURN_IF_ERROR(FirstError(statuses));
  return total;
}

}  // namespace

absl::Status TeacherLoad::AwaitModel() const {
  const auto stub = Connect(options_.address);
  const absl::Time end = absl::Now() + absl::Minutes(1);
  while (true) {
    grpc::ClientContext context;
    v1::GetTeacherResponse response;
    absl::Status status = FromGrpcStatus(stub->GetTeacher(&context, {}, &response));
    if (status.ok() || absl::Now() > end) return status;
    absl::SleepFor(absl::Milliseconds(50));
  }
}

absl::StatusOr<int64_t> TeacherLoad::Stream(int count, double seconds) {
  const Stubs stubs = ConnectAll(options_.address, count);
  return RowsOfAll(count, seconds, [&](size_t worker) {
    return StreamOnce(*stubs[worker], StreamRequest(options_, streams_++));
  });
}

absl::StatusOr<int64_t> TeacherLoad::Query(int clients, int64_t rows, bool bytes, double seconds) {
  const Stubs stubs = ConnectAll(options_.address, clients);
  std::vector<v1::ComputeSoftTargetsRequest> requests;
  for (int i = 0; i < clients; ++i) requests.push_back(QueryRequest(options_, rows, i, bytes));
  return RowsOfAll(clients, seconds, [&](size_t client) -> absl::StatusOr<int64_t> {
    DISTILLERY_RETURN_IF_ERROR(QueryOnce(*stubs[client], requests[client]));
    return rows;
  });
}

absl::StatusOr<std::vector<double>> TeacherLoad::Latencies(bool beside_stream, double seconds) {
  std::atomic<bool> done{false};
  absl::Status streamed;
  std::thread streams([&] {
    while (beside_stream && !done && streamed.ok()) streamed = Stream(1, 0.01).status();
  });
  const auto stub = Connect(options_.address);
  const v1::ComputeSoftTargetsRequest request = QueryRequest(options_, 1, 0);
  std::vector<double> latencies;
  absl::Status status = QueryOnce(*stub, request);  // connects
  const absl::Time end = absl::Now() + absl::Seconds(seconds);
  while (status.ok() && (latencies.empty() || absl::Now() < end)) {
    const absl::Time start = absl::Now();
    status = QueryOnce(*stub, request);
    latencies.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }
  done = true;
  streams.join();
  DISTILLERY_RETURN_IF_ERROR(FirstError({status, streamed}));
  return latencies;
}

}  // namespace distillery
