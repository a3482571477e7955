// Worker: what it keeps from one task to the next, against a coordinator of the test's own.
#include "student_worker/rpc/worker.h"

#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/rpc/proto_conversion.h"
#include "common/rpc/server.h"
#include "distillery/v1/coordinator_service.grpc.pb.h"
#include "tests/common/status_matchers.h"
#include "tests/common/tensor_file.h"

namespace distillery {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A run's weights and card, and the card that its leases name.
struct ScriptedRun {
  std::string run_id;
  std::string card;
  std::string named_card;
  std::string encoding = "float32";
};

// Leases one training task of each run in turn, then none. The weights of all runs are equal; their
// cards are no cards, so each task fails once it has them.
class ScriptedCoordinator : public v1::CoordinatorService::Service {
 public:
  explicit ScriptedCoordinator(std::vector<ScriptedRun> tasks) : tasks_(std::move(tasks)) {
    RpcServer::Options options;
    options.address.clear();
    auto started = RpcServer::Start(options, {{v1::CoordinatorService::service_full_name(), this}});
    EXPECT_THAT(started, IsOk());
    server_ = *std::move(started);
  }

  grpc::Status RegisterWorker(grpc::ServerContext* /*context*/,
                              const v1::RegisterWorkerRequest* /*request*/,
                              v1::RegisterWorkerResponse* response) override {
    response->set_worker_id("worker-1");
    response->set_lease_duration_seconds(60);
    return grpc::Status::OK;
  }

  grpc::Status LeaseTask(grpc::ServerContext* context, const v1::LeaseTaskRequest* request,
                         v1::LeaseTaskResponse* response) override {
    MutexLock lock(mutex_);
    requests_.push_back(request->request_id());
    if (holds_first_answer_ && requests_.size() == 1) {
      done_ = true;
      changed_.NotifyAll();
      while (!context->IsCancelled()) changed_.WaitFor(mutex_, absl::Milliseconds(1));
      return grpc::Status::CANCELLED;
    }
    if (next_ == tasks_.size()) {
      done_ = true;
      changed_.NotifyAll();
      return grpc::Status::OK;
    }
    const ScriptedRun& task = tasks_[next_++];
    RunSpec spec;
    spec.student.architecture = "mlp:64-10";
    spec.loss.alpha = 0;
    spec.training.local_epochs = 1;
    spec.training.broadcast_encoding = task.encoding;
    *response->mutable_spec() = ToProto(spec);
    *response->mutable_lease() =
        ToProto(Lease{{task.run_id, TaskKind::kTrain, 0, 0}, 1, "worker-1"});
    response->set_weights_sha256(Sha256Hex(weights_));
    response->set_model_card_sha256(Sha256Hex(task.named_card));
    response->set_lease_duration_seconds(60);
    return grpc::Status::OK;
  }

  grpc::Status DownloadWeights(grpc::ServerContext* /*context*/,
                               const v1::DownloadWeightsRequest* request,
                               grpc::ServerWriter<v1::DownloadWeightsResponse>* writer) override {
    std::string card;
    {
      MutexLock lock(mutex_);
      downloads_.push_back(absl::StrCat(request->run_id(), " ", request->encoding()));
      card = tasks_[next_ - 1].card;
    }
    v1::DownloadWeightsResponse message;
    v1::WeightsHeader* const header = message.mutable_header();
    header->set_byte_count(static_cast<int64_t>(weights_.size()));
    header->set_sha256(Sha256Hex(weights_));
    header->set_weights_sha256(Sha256Hex(weights_));
    header->set_model_card(card);
    writer->Write(message);
    message.mutable_chunk()->set_data(weights_);
    message.mutable_chunk()->set_crc32c(Crc32c(weights_));
    writer->Write(message);
    message.mutable_trailer()->set_chunk_count(1);
    message.mutable_trailer()->set_byte_count(static_cast<int64_t>(weights_.size()));
    message.mutable_trailer()->set_crc32c(Crc32c(weights_));
    writer->Write(message);
    return grpc::Status::OK;
  }

  grpc::Status ReleaseTask(grpc::ServerContext* /*context*/, const v1::ReleaseTaskRequest* request,
                           v1::ReleaseTaskResponse* /*response*/) override {
    MutexLock lock(mutex_);
    released_.push_back(request->message());
    return grpc::Status::OK;
  }

  // The first task is leased, but its worker does not hear of it. AwaitEnd waits for this.
  void HoldFirstAnswer() {
    MutexLock lock(mutex_);
    holds_first_answer_ = true;
  }
  std::shared_ptr<grpc::Channel> channel() { return server_->InProcessChannel(); }
  void AwaitEnd() {
    MutexLock lock(mutex_);
    while (!done_) changed_.Wait(mutex_);
  }
  // "RUN ENCODING" of each download, and why each task was given back.
  std::vector<std::string> downloads() {
    MutexLock lock(mutex_);
    return downloads_;
  }
  std::vector<std::string> released() {
    MutexLock lock(mutex_);
    return released_;
  }
  // The request of each LeaseTask.
  std::vector<std::string> requests() {
    MutexLock lock(mutex_);
    return requests_;
  }

 private:
  const std::vector<ScriptedRun> tasks_;
  const std::string weights_ = MakeTensorFile({{"fc1.bias", {1, 2}}, {"fc1.weight", {3}}});
  Mutex mutex_;
  ConditionVariable changed_;
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  bool holds_first_answer_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> downloads_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> released_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<RpcServer> server_;
};

// Does all tasks of the coordinator.
void Work(ScriptedCoordinator* coordinator) {
  Worker::Options options;
  options.warn_of_failures = false;
  Worker worker(options, Connection::Of(coordinator->channel()), nullptr);
  std::thread thread([&] { EXPECT_THAT(worker.Run(), IsOk()); });
  coordinator->AwaitEnd();
  worker.Stop();
  thread.join();
}

TEST(Worker, Fault51_EqualWeightsOfUnlikeRunsAreNotTakenForEachOther) {
  ScriptedCoordinator coordinator({{"a", "card of a", "card of a"},
                                   {"a", "card of a", "card of a"},
                                   {"b", "card of b", "card of b"},
                                   {"a", "card of a", "card of a"},
                                   {"a", "another card", "another card"},
                                   {"a", "another card", "another card"}});
  Work(&coordinator);
  EXPECT_THAT(coordinator.downloads(),
              ElementsAre("a float32", "b float32", "a float32", "a float32"));
  EXPECT_THAT(coordinator.released(), AllOf(SizeIs(6), Each(HasSubstr("model card"))));
}

// Nobody else could have it until the lease ends.
TEST(Worker, Fault13_ATaskOfWhichAStoppingWorkerDidNotHearIsGivenBack) {
  ScriptedCoordinator coordinator({{"a", "card of a", "card of a"}});
  coordinator.HoldFirstAnswer();
  Work(&coordinator);
  const std::vector<std::string> requests = coordinator.requests();
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_EQ(requests[1], requests[0]);
  EXPECT_THAT(coordinator.released(), ElementsAre("stopping"));
}

TEST(Worker, Fault51_ACardThatTheLeaseDoesNotNameIsRefused) {
  ScriptedCoordinator coordinator({{"a", "card of another run", "card of a"}});
  Work(&coordinator);
  EXPECT_THAT(coordinator.released(),
              ElementsAre(AllOf(HasSubstr("the SHA-256 of the model card of round 0 is " +
                                          Sha256Hex("card of another run")),
                                HasSubstr("the lease names " + Sha256Hex("card of a")))));
}

}  // namespace
}  // namespace distillery
