// Fault 53 as a property: whatever requests were accepted, after kill -9 and a start every run is
// listed, fetched and exported.
#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "common/rpc/proto_conversion.h"
#include "coordinator/offline/state_check.h"
#include "coordinator/offline/state_export.h"
#include "tests/coordinator/fixture.h"
#include "tests/coordinator/rpc/served_coordinator.h"

namespace distillery {
namespace {

using Stub = ServedCoordinator::Stub;

class AcceptedRequests : public CoordinatorTest {
 protected:
  AcceptedRequests() : served_(std::make_unique<ServedCoordinator>(coordinator_.get())) {}
  ~AcceptedRequests() override { served_.reset(); }

  size_t Below(size_t bound) { return random_() % bound; }
  bool Rarely() { return Below(8) == 0; }
  template <typename T>
  T OneOf(const std::vector<T>& values) {
    return values[Below(values.size())];
  }
  double OddNumber() {
    using Limits = std::numeric_limits<double>;
    return OneOf<double>({0, -0.0, 0.5, 1, std::nextafter(1, 0), 2, Limits::denorm_min(),
                          Limits::min(), Limits::max(), Limits::infinity(), Limits::quiet_NaN(),
                          std::numeric_limits<float>::max(), -1, -Limits::max()});
  }
  int64_t OddCount() {
    using Limits = std::numeric_limits<int64_t>;
    return OneOf<int64_t>({0, 1, 2, 7, 100, 4096, 65536, 1'000'000, Limits::max(), Limits::min(),
                           -1, int64_t{1} << 62});
  }
  // UTF-8, as any that reaches a handler is.
  std::string OddText(size_t longest) {
    static const auto* const parts = new std::vector<std::string>{"a",
                                                                  "\xC3\xA9",
                                                                  "\xE2\x82\xAC",
                                                                  "\xF0\x9F\x98\x80",
                                                                  "\"",
                                                                  "\\",
                                                                  "\n",
                                                                  "\r",
                                                                  "\t",
                                                                  std::string(1, '\0'),
                                                                  "\x01",
                                                                  "\x7F",
                                                                  "\xC2\x85",
                                                                  "\xE2\x80\xA8",
                                                                  "{",
                                                                  "}",
                                                                  "[",
                                                                  ": ",
                                                                  "# ",
                                                                  "---\n",
                                                                  "null",
                                                                  "NaN",
                                                                  "../",
                                                                  "%s",
                                                                  "\xEF\xBB\xBF",
                                                                  "'",
                                                                  ","};
    std::string text;
    const size_t size = OneOf<size_t>({0, 1, 10, longest / 2, longest, longest + 5});
    while (text.size() < size) text += OneOf(*parts);
    return text;
  }

  v1::SubmitRunRequest Submission() {
    RunSpec spec = SmallSpec();
    spec.name = OneOf<std::string>({"a", std::string(64, 'z'), "x.y_z-0"});
    spec.seed = OddCount();
    if (Rarely()) spec.dataset.shard_size = OddCount();
    if (Rarely()) spec.dataset.views = OddCount();
    if (Rarely())
      spec.dataset.labels = OneOf<std::string>({"", "all", "none", "0.1", "1e-300", "2"});
    if (Rarely()) spec.dataset.exclude_classes = {0, OddCount(), 5};
    if (Rarely()) spec.dataset.sample_fraction = OddNumber();
    if (Rarely()) spec.dataset.label_noise = OddNumber();
    if (Rarely()) spec.teacher.model = OddText(4096);
    if (Rarely()) spec.student.architecture = OddText(4096);
    if (Rarely()) spec.loss.alpha = OddNumber();
    if (Rarely()) spec.loss.temperature = OddNumber();
    if (Rarely()) spec.loss.label_smoothing = OddNumber();
    if (Rarely()) spec.training.rounds = OddCount();
    if (Rarely()) spec.training.replicas = OneOf<int64_t>({1, 3, 64, 0, 4097});
    if (Rarely()) std::swap(spec.training.local_steps, spec.training.local_epochs);
    if (Rarely()) spec.training.batch_size = OddCount();
    if (Rarely()) spec.training.learning_rate = OddNumber();
    if (Rarely()) spec.training.momentum = OddNumber();
    if (Rarely()) spec.training.weight_decay = OddNumber();
    if (Rarely()) spec.training.max_gradient_norm = OddNumber();
    if (Rarely()) spec.averaging.max_norm_ratio = OddNumber();
    if (Rarely()) spec.outer.learning_rate = OddNumber();
    spec.evaluation.every_rounds = OneOf<int64_t>({0, 1, 1, 2});
    if (spec.evaluation.every_rounds > 0 && Rarely()) {
      spec.guard.metric = OneOf<std::string>({"cross_entropy", "accuracy"});
      spec.guard.min_improvement = OddNumber();
      spec.guard.max_loss_ratio = OddNumber();
      spec.guard.on_explosion = OneOf<std::string>({"", "stop", "roll_back"});
    }
    if (Rarely()) {
      spec.sync.mode = "quorum";
      spec.sync.quorum = OddCount();
      spec.sync.deadline_seconds = OddNumber();
    }
    if (Rarely()) spec.scheduling.priority = OddCount();
    if (Rarely()) spec.scheduling.backup_after = OddNumber();
    if (Rarely()) spec.scheduling.sweep = OneOf<std::string>({"s", std::string(128, 's')});
    v1::SubmitRunRequest request;
    request.set_request_id(NewId());
    *request.mutable_spec() = ToProto(spec);
    return request;
  }
  v1::RegisterWorkerRequest Registration() {
    v1::RegisterWorkerRequest request;
    request.set_request_id(NewId());
    request.set_name(OneOf<std::string>({"host", std::string(128, 'h'), "a.b-c_d"}));
    request.set_numerics_fingerprint(OddText(512));
    request.set_numerics("fastest");
    request.set_memory_bytes(OneOf<int64_t>({0, std::numeric_limits<int64_t>::max(), -1}));
    return request;
  }
  EvaluationMetrics OddEvaluation() {
    EvaluationMetrics metrics = SomeEvaluation();
    if (Rarely()) metrics.sample_count = OddCount();
    if (Rarely()) metrics.correct_count = OddCount();
    if (Rarely()) metrics.agreement_count = OddCount();
    if (Rarely()) metrics.cross_entropy = OddNumber();
    if (Rarely()) metrics.teacher_kl = OddNumber();
    if (Rarely()) metrics.held_out_cross_entropy = OddNumber();
    if (Rarely()) metrics.held_out_sample_count = OddCount();
    if (Rarely()) {
      metrics.samples_per_class.assign(OneOf<size_t>({1, 1000, 100'000}), 1);
      metrics.correct_per_class.assign(metrics.samples_per_class.size(), 0);
    }
    while (metrics.calibration_bins.size() < Below(15)) {
      metrics.calibration_bins.push_back({1, 0, Rarely() ? OddNumber() : 0.5});
    }
    return metrics;
  }
  TrainMetrics OddTraining(int64_t planned) {
    TrainMetrics metrics;
    metrics.sample_count = Rarely() ? OddCount() : planned;
    metrics.step_count = Rarely() ? OddCount() : 1;
    for (double* const number : {&metrics.loss, &metrics.soft_loss, &metrics.hard_loss,
                                 &metrics.seconds, &metrics.dkd_other_loss}) {
      if (Below(12) == 0) *number = OddNumber();
    }
    return metrics;
  }

  // One random request, or two that belong together; how many were accepted.
  int Send() {
    const auto accepted = [](const auto& answer) { return answer.ok() ? 1 : 0; };
    switch (Below(9)) {
      case 0: {
        const auto answer = served_->Call(&Stub::SubmitRun, Submission());
        if (answer.ok()) runs_.insert(answer->run().run_id());
        return accepted(answer);
      }
      case 1: {
        const auto answer = served_->Call(&Stub::RegisterWorker, Registration());
        if (answer.ok()) workers_.push_back(answer->worker_id());
        return accepted(answer);
      }
      case 2:
        return ChangeARun();
      default:
        return DoATask();
    }
  }
  int ChangeARun() {
    if (runs_.empty()) return 0;
    const std::string run_id = *std::next(runs_.begin(), static_cast<int64_t>(Below(runs_.size())));
    const auto change = [&](auto method, auto request) {
      request.set_request_id(NewId());
      request.set_run_id(run_id);
      return served_->Call(method, request).ok() ? 1 : 0;
    };
    switch (Below(12)) {
      case 0:
        return change(&Stub::CancelRun, v1::CancelRunRequest());
      case 1: {
        const int deleted = change(&Stub::DeleteRun, v1::DeleteRunRequest());
        if (deleted == 1) runs_.erase(run_id);
        return deleted;
      }
      case 2:
        return change(&Stub::PauseRun, v1::PauseRunRequest());
      default:
        return change(&Stub::ResumeRun, v1::ResumeRunRequest());
    }
  }
  int DoATask() {
    if (workers_.empty()) return 0;
    v1::LeaseTaskRequest ask;
    ask.set_request_id(NewId());
    ask.set_worker_id(OneOf(workers_));
    const auto leased = served_->Call(&Stub::LeaseTask, ask);
    if (!leased.ok()) return 0;
    if (!leased->has_lease()) return 1;
    const v1::TaskLease& lease = leased->lease();
    if (Rarely()) {
      v1::ReleaseTaskRequest release;
      release.set_request_id(NewId());
      *release.mutable_lease() = lease;
      release.set_reason(v1::RELEASE_REASON_FAILED);
      release.set_message(OddText(5000));
      return 1 + (served_->Call(&Stub::ReleaseTask, release).ok() ? 1 : 0);
    }
    if (Rarely()) {
      v1::RenewLeaseRequest renew;
      *renew.mutable_lease() = lease;
      renew.set_sample_count(OddCount());
      renew.set_waiting_for(OddText(5000));
      return 1 + (served_->Call(&Stub::RenewLease, renew).ok() ? 1 : 0);
    }
    if (lease.kind() == v1::TASK_KIND_EVALUATE) {
      v1::ReportEvaluationRequest report;
      report.set_request_id(NewId());
      *report.mutable_lease() = lease;
      *report.mutable_metrics() = ToProto(OddEvaluation());
      return 1 + (served_->Call(&Stub::ReportEvaluation, report).ok() ? 1 : 0);
    }
    const int uploaded = Upload(lease, *FromProto(leased->spec())) ? 1 : 0;
    (void)coordinator_->AverageNext();
    return 1 + uploaded;
  }
  bool Upload(const v1::TaskLease& lease, const RunSpec& spec) {
    const std::string file = ModelFile({0.5, 0.5});
    v1::UploadDeltaRequest message;
    v1::DeltaHeader& header = *message.mutable_header();
    header.set_request_id(NewId());
    *header.mutable_lease() = lease;
    header.set_byte_count(static_cast<int64_t>(file.size()));
    const std::vector<int64_t> sizes(70, std::min<int64_t>(100, spec.dataset.shard_size));
    if (lease.kind() == v1::TASK_KIND_INITIALISE) {
      for (const std::string& name : ModelBuffers()) header.add_buffer_names(name);
      if (Rarely()) header.add_buffer_names(OddText(1000));
      header.set_model_card(Rarely() ? OddText(64 << 10) : "{}");
      if (!Rarely()) header.mutable_samples_per_shard()->Add(sizes.begin(), sizes.end());
      if (Rarely()) header.set_dataset_digest(OddText(100));
    } else {
      const auto plan = SamplePlan::Create(spec, sizes);
      *header.mutable_metrics() =
          ToProto(OddTraining(plan.ok() ? plan->SampleCount(lease.round(), lease.replica()) : 1));
    }
    grpc::ClientContext context;
    v1::UploadDeltaResponse response;
    const auto writer = served_->stub()->UploadDelta(&context, &response);
    bool open = writer->Write(message);
    message.mutable_chunk()->set_data(file);
    open = open && writer->Write(message);
    message.mutable_trailer()->set_chunk_count(1);
    message.mutable_trailer()->set_byte_count(static_cast<int64_t>(file.size()));
    message.mutable_trailer()->set_crc32c(Crc32c(file));
    if (open && writer->Write(message)) writer->WritesDone();
    return FromGrpcStatus(writer->Finish()).ok();
  }

  // All that a client may ask, of a coordinator that starts where this one would be killed now.
  void CheckAfterKill() {
    Coordinator::Options options = options_;
    options.state_dir = CrashImage();
    {
      auto opened = Coordinator::Open(options);
      ASSERT_THAT(opened, IsOk());
      ServedCoordinator served(opened->get());
      ASSERT_OK_AND_ASSIGN(const std::vector<v1::Run> runs, served.ListRuns());
      std::set<std::string> listed;
      for (const v1::Run& run : runs) {
        listed.insert(run.run_id());
        ASSERT_EQ(run.state_reason().find("damaged"), std::string::npos) << run.state_reason();
        ASSERT_THAT(served.GetRun(run.run_id()), IsOk());
        ASSERT_THAT(served.GetRun(run.run_id(), 1000), IsOk());
        ASSERT_THAT(served.ListLeases(run.run_id()), IsOk());
        grpc::ClientContext context;
        v1::WatchRunRequest watch;
        watch.set_run_id(run.run_id());
        const auto reader = served.stub()->WatchRun(&context, watch);
        v1::WatchRunResponse seen;
        ASSERT_TRUE(reader->Read(&seen));
        ASSERT_EQ(seen.run().run_id(), run.run_id());
        context.TryCancel();
        (void)reader->Finish();
      }
      ASSERT_EQ(listed, runs_);
      ASSERT_OK_AND_ASSIGN(const std::vector<v1::Worker> workers, served.ListWorkers());
      ASSERT_OK_AND_ASSIGN(const StateExport exported, ExportState(options.state_dir));
      ASSERT_TRUE(exported.left_out.empty());
    }
    const auto report = CheckState(options.state_dir, {});
    ASSERT_THAT(report, IsOk());
    for (const StateFinding& finding : report->findings) {
      ASSERT_NE(finding.kind, "damaged") << finding.what;
    }
    std::filesystem::remove_all(options.state_dir);
  }

  std::mt19937_64 random_{53};
  std::unique_ptr<ServedCoordinator> served_;
  std::set<std::string> runs_;
  std::vector<std::string> workers_;
};

TEST_F(AcceptedRequests, Fault53_OfTwoThousandEachIsReadableAfterKillMinusNine) {
  constexpr int kWanted = 2000;
  constexpr int kEvery = 125;
  int accepted = 0;
  int64_t sent = 0;
  for (int next = kEvery; accepted < kWanted; ++sent) {
    ASSERT_LT(sent, 20 * kWanted) << "too few are accepted to say anything: " << accepted;
    accepted += Send();
    if (Below(20) == 0) {
      clock_.Advance(absl::Seconds(static_cast<int64_t>(Below(40))));
      coordinator_->Tick();
    }
    if (accepted < next) continue;
    next += kEvery;
    ASSERT_NO_FATAL_FAILURE(CheckAfterKill()) << accepted;
  }
  EXPECT_GT(runs_.size(), 10);
}

}  // namespace
}  // namespace distillery
