// A teacher service that misbehaves as a test says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/checksum.h"
#include "common/rpc/server.h"
#include "distillery/v1/teacher_service.grpc.pb.h"
#include "student_worker/teachers/soft_target_source.h"
#include "tests/common/status_matchers.h"

namespace distillery {

class ScriptedTeacher : public v1::TeacherService::Service {
 public:
  using Writer = grpc::ServerWriter<v1::StreamSoftTargetsResponse>;
  // Answers the stream of that number, from 0.
  using Script =
      std::function<grpc::Status(size_t call, const v1::StreamSoftTargetsRequest&, Writer*)>;

  // `address`: as RpcServer::Options; empty: in-process channels alone.
  explicit ScriptedTeacher(Script script, const std::string& address = "")
      : script_(std::move(script)) {
    RpcServer::Options options;
    options.address = address;
    auto started = RpcServer::Start(options, {{v1::TeacherService::service_full_name(), this}});
    EXPECT_THAT(started, IsOk());
    server_ = *std::move(started);
  }

  grpc::Status StreamSoftTargets(grpc::ServerContext* /*context*/,
                                 const v1::StreamSoftTargetsRequest* request,
                                 Writer* writer) override {
    requests_.push_back(*request);
    return script_(requests_.size() - 1, *request, writer);
  }

  // UNIMPLEMENTED unless `digest` is set.
  grpc::Status GetTeacher(grpc::ServerContext* context, const v1::GetTeacherRequest* request,
                          v1::GetTeacherResponse* response) override {
    if (digest.empty()) return Service::GetTeacher(context, request, response);
    response->mutable_teacher()->set_teacher_digest(digest);
    return grpc::Status::OK;
  }

  grpc::Status DescribeDataset(grpc::ServerContext* context,
                               const v1::DescribeDatasetRequest* request,
                               v1::DescribeDatasetResponse* response) override {
    ++describe_count;
    return describe ? describe(*request, response)
                    : Service::DescribeDataset(context, request, response);
  }

  // Set before any call.
  std::string digest;
  // Unset: UNIMPLEMENTED.
  std::function<grpc::Status(const v1::DescribeDatasetRequest&, v1::DescribeDatasetResponse*)>
      describe;
  // Read once no call is in flight.
  int describe_count = 0;
  const std::string& address() const { return server_->address(); }
  std::shared_ptr<grpc::Channel> channel() { return server_->InProcessChannel(); }
  // Read once no call is in flight.
  const std::vector<v1::StreamSoftTargetsRequest>& requests() const { return requests_; }

 private:
  const Script script_;
  std::vector<v1::StreamSoftTargetsRequest> requests_;
  std::unique_ptr<RpcServer> server_;
};

// The shard of these scripts: 5 rows of 2 classes, row r is (r, r + 0.5).
inline constexpr int64_t kScriptRows = 5;
inline constexpr int64_t kScriptClasses = 2;

inline std::string ScriptBytes(int64_t first, int64_t count) {
  std::string bytes;
  for (int64_t row = first; row < first + count; ++row) {
    for (const float value : {static_cast<float>(row), static_cast<float>(row) + 0.5F}) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
  }
  return bytes;
}

inline v1::StreamSoftTargetsResponse Header(const std::string& teacher_digest = "teacher",
                                            const std::string& dataset_digest = "data") {
  v1::StreamSoftTargetsResponse message;
  message.mutable_header()->set_teacher_digest(teacher_digest);
  message.mutable_header()->set_dataset_digest(dataset_digest);
  message.mutable_header()->set_row_count(kScriptRows);
  message.mutable_header()->set_class_count(kScriptClasses);
  return message;
}

inline v1::StreamSoftTargetsResponse Chunk(int64_t first, int64_t count) {
  v1::StreamSoftTargetsResponse message;
  message.mutable_chunk()->set_start_row(first);
  v1::Tensor* const values = message.mutable_chunk()->mutable_values();
  values->set_data_type(v1::DATA_TYPE_FLOAT32);
  values->add_shape(count);
  values->add_shape(kScriptClasses);
  values->set_data(ScriptBytes(first, count));
  return message;
}

// For the rows from `first` to the end of the shard.
inline v1::StreamSoftTargetsResponse Trailer(int64_t first) {
  const std::string bytes = ScriptBytes(first, kScriptRows - first);
  v1::StreamSoftTargetsResponse message;
  message.mutable_trailer()->set_row_count(kScriptRows - first);
  message.mutable_trailer()->set_byte_count(static_cast<int64_t>(bytes.size()));
  message.mutable_trailer()->set_crc32c(Crc32c(bytes));
  return message;
}

// Serves the shard from the row asked for.
inline grpc::Status ServeShard(const v1::StreamSoftTargetsRequest& request,
                               ScriptedTeacher::Writer* writer,
                               const std::string& teacher_digest = "teacher") {
  writer->Write(Header(teacher_digest));
  if (request.start_row() < kScriptRows) {
    writer->Write(Chunk(request.start_row(), kScriptRows - request.start_row()));
  }
  writer->Write(Trailer(request.start_row()));
  return grpc::Status::OK;
}

// The shard of these scripts, asked for.
inline ShardRequest ScriptRequest(int64_t shard = 0) {
  ShardRequest request;
  request.dataset = {"digits", "train", kScriptRows};
  request.dataset_digest = "data";
  request.shard = shard;
  request.row_count = kScriptRows;
  request.class_count = kScriptClasses;
  return request;
}

}  // namespace distillery
