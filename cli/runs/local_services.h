// Teacher, coordinator and worker in this process, over in-process channels: no port is opened.
//
// Gives the same weights as separate programs: the parts are the same, only the channel differs.
// Threads: safe for all. The destructor stops the worker (which gives its task back) and the
// services.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/run/run_spec.h"

namespace distillery {

class LocalServices {
 public:
  struct Options {
    // The coordinator's record; a second process on the same folder is refused.
    std::string state_dir;
    std::string data_dir;
    // RunSpec.compute_threads: teacher and worker share the process.
    int64_t compute_threads = 1;
    // Empty: no teacher.
    std::string teacher_model;
    // Folder for the teacher's logits; empty: in memory alone.
    std::string cache_dir;
    // Folder or file of TorchScript students; empty: built-in architectures alone.
    std::string student_dir;
    // Where teacher and student compute: "cpu", "cuda" or "cuda:N".
    std::string device = "cpu";
    // The run that will be submitted, which is checked against its data; null: any run.
    const RunSpec* run = nullptr;
  };
  // Errors of Coordinator::Open, of LoadTorchTeacher, and of Worker::OpenRunData for `run`;
  // INVALID_ARGUMENT if the teacher does not fit the run's data.
  static absl::StatusOr<std::unique_ptr<LocalServices>> Start(const Options& options);
  virtual ~LocalServices() = default;
  virtual std::shared_ptr<grpc::Channel> coordinator() = 0;
  // Empty without a teacher.
  virtual std::string teacher_digest() = 0;
};

}  // namespace distillery
