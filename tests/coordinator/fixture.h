// A coordinator on a folder of its own, without threads and under a clock that stands still; and
// workers that do as they are told. Tests call Tick and AverageNext by hand.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "coordinator/coordinator.h"
#include "coordinator/upload/delta_upload.h"
#include "tests/common/status_matchers.h"
#include "tests/common/temporary_folder.h"
#include "tests/common/tensor_file.h"

namespace distillery {

// Two rounds of two replicas of 100 samples each, without a teacher; W_2 alone is evaluated.
inline RunSpec SmallSpec() {
  RunSpec spec;
  spec.name = "small";
  spec.student.architecture = "mlp:64-10";
  spec.loss.alpha = 0;
  spec.training.rounds = 2;
  spec.training.replicas = 2;
  spec.training.local_steps = 25;
  spec.training.batch_size = 4;
  spec.evaluation.every_rounds = 0;
  return spec;
}

// A model of one parameter "w" [2] and two buffers: "mean" [1] and the integer "steps".
inline std::string ModelFile(std::vector<float> w, float mean = 0, int64_t steps = 0) {
  return MakeTensorFile({{"w", std::move(w)}, {"mean", {mean}}}, {{"steps", steps}});
}
inline std::vector<std::string> ModelBuffers() { return {"mean", "steps"}; }

// The whole file.
inline std::string BytesOf(const WeightsFile& weights) {
  std::string bytes(static_cast<size_t>(weights.file->size()), '\0');
  EXPECT_THAT(weights.file->ReadAt(0, weights.file->size(), bytes.data()), IsOk());
  return bytes;
}

// 300 of 397 right.
inline EvaluationMetrics SomeEvaluation() {
  EvaluationMetrics metrics;
  metrics.sample_count = 397;
  metrics.correct_count = 300;
  metrics.cross_entropy = 0.5;
  return metrics;
}

class CoordinatorTest : public ::testing::Test {
 protected:
  CoordinatorTest() {
    options_.state_dir = folder_.File("state");
    options_.clock = &clock_;
    Reopen();
  }

  // Ends the coordinator and starts another one on the same folder.
  void Reopen() {
    coordinator_.reset();
    auto opened = Coordinator::Open(options_);
    // GoogleTest turns an exception into a failure of this test alone; ASSERT would go on without.
    if (!opened.ok()) throw std::runtime_error(opened.status().ToString());
    coordinator_ = *std::move(opened);
  }

  // A copy of the state folder as kill -9 would leave it now: whatever has reached the files.
  std::string CrashImage() {
    const std::string image = folder_.File(absl::StrCat("image-", ++last_number_));
    std::filesystem::copy(options_.state_dir, image, std::filesystem::copy_options::recursive);
    return image;
  }
  // Goes on from a crash image.
  void ReopenOn(const std::string& image) {
    options_.state_dir = image;
    Reopen();
  }

  std::string NewId() { return absl::StrCat("request-", ++last_number_); }

  std::string Submit(const RunSpec& spec) {
    const auto run = coordinator_->runs().Submit(NewId(), spec);
    EXPECT_THAT(run, IsOk());
    return run.ok() ? run->row.run_id : "";
  }
  // Submits a run and gives it W_0.
  std::string StartRun(const RunSpec& spec, const std::string& weights = ModelFile({1, 2})) {
    const std::string run_id = Submit(spec);
    const TaskGrant grant = Take(Register());
    EXPECT_EQ(grant.lease.task, (TaskId{run_id, TaskKind::kInitialise, 0, 0}));
    EXPECT_THAT(Send(grant.lease, weights), IsOk());
    return run_id;
  }
  RunView Run(const std::string& run_id) {
    auto run = coordinator_->runs().Get(run_id);
    EXPECT_THAT(run, IsOk());
    return run.ok() ? *run : RunView{};
  }

  std::string Register(const std::string& fingerprint = "avx2",
                       const std::string& numerics = "fastest") {
    const auto worker = coordinator_->leases().Register(NewId(), "host", fingerprint, numerics);
    EXPECT_THAT(worker, IsOk());
    return worker.ok() ? worker->worker_id : "";
  }

  // One LeaseTask call that does not wait.
  absl::StatusOr<LeaseAnswer> Ask(const std::string& request_id, const std::string& worker_id) {
    absl::StatusOr<LeaseAnswer> answer = absl::UnknownError("no answer came");
    coordinator_->leases().Take(request_id, worker_id, absl::ZeroDuration(),
                                [&](absl::StatusOr<LeaseAnswer> got) { answer = std::move(got); });
    return answer;
  }
  absl::StatusOr<LeaseAnswer> Ask(const std::string& worker_id) { return Ask(NewId(), worker_id); }
  // The same, and a task must come.
  TaskGrant Take(const std::string& worker_id) {
    const auto answer = Ask(worker_id);
    EXPECT_THAT(answer, IsOk());
    if (answer.ok() && answer->grant.has_value()) return *answer->grant;
    ADD_FAILURE() << "no task for " << worker_id;
    return {};
  }

  UploadHeader HeaderFor(const Lease& lease, const std::string& file) {
    UploadHeader header;
    header.request_id = NewId();
    header.lease = lease;
    header.byte_count = static_cast<int64_t>(file.size());
    if (lease.task.kind == TaskKind::kInitialise) {
      header.buffer_names = ModelBuffers();
      header.model_card = "{}";
      header.samples_per_shard = shard_sizes_;
    } else {
      header.metrics.sample_count = 100;
      header.metrics.step_count = 2;
    }
    return header;
  }
  // Uploads `file` whole. True: it was a duplicate.
  absl::StatusOr<bool> Send(const UploadHeader& header, const std::string& file) {
    auto upload = DeltaUpload::Begin(coordinator_.get(), header);
    if (!upload.ok()) return upload.status();
    if (const absl::Status status = (*upload)->Append(0, file); !status.ok()) return status;
    return (*upload)->Finish(1, static_cast<int64_t>(file.size()), Crc32c(file));
  }
  absl::StatusOr<bool> Send(const Lease& lease, const std::string& file) {
    return Send(HeaderFor(lease, file), file);
  }

  // Trains one whole round with `deltas`, one per replica, and averages it.
  void TrainRound(const std::vector<std::string>& deltas) {
    const std::string worker = Register();
    for (const std::string& delta : deltas) {
      const TaskGrant grant = Take(worker);
      ASSERT_EQ(grant.lease.task.kind, TaskKind::kTrain);
      ASSERT_THAT(Send(grant.lease, delta), IsOk());
    }
    ASSERT_TRUE(coordinator_->AverageNext());
  }
  void TrainRound() { TrainRound({ModelFile({1, 0}), ModelFile({0, 4})}); }

  absl::StatusOr<bool> Evaluate(const Lease& lease) {
    return coordinator_->results().Evaluate(NewId(), lease, SomeEvaluation());
  }

  std::string StateFile(const std::string& name) const { return options_.state_dir + "/" + name; }

  TemporaryFolder folder_;
  FakeClock clock_;
  Coordinator::Options options_;
  std::unique_ptr<Coordinator> coordinator_;
  // The sizes of shards that the worker which makes W_0 reports; a run that counts steps needs
  // none.
  std::vector<int64_t> shard_sizes_;

 private:
  int last_number_ = 0;
};

}  // namespace distillery
