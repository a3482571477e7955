#include "teacher_service/teachers/replicated_teacher.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/base/mutex.h"
#include "teacher_service/teachers/finite_rows.h"

namespace distillery {
namespace {

class ReplicatedTeacher : public Teacher {
 public:
  explicit ReplicatedTeacher(std::vector<TeacherReplica> replicas)
      : info_(replicas.front().teacher->info()),
        replicas_(std::move(replicas)),
        states_(replicas_.size()) {}

  const TeacherInfo& info() const override { return info_; }

  absl::Status ComputeLogits(const InputColumns& inputs, int64_t rows, float* logits) override {
    return Try([&](Teacher& teacher) {
      return Judge(teacher.ComputeLogits(inputs, rows, logits), logits, rows);
    });
  }

  bool takes_bytes() const override { return replicas_.front().teacher->takes_bytes(); }
  absl::Status ComputeLogitsOfBytes(const uint8_t* bytes, int pixel_max, int64_t rows,
                                    float* logits) override {
    return Try([&](Teacher& teacher) {
      return Judge(teacher.ComputeLogitsOfBytes(bytes, pixel_max, rows, logits), logits, rows);
    });
  }

  bool encodes() const override { return replicas_.front().teacher->encodes(); }
  absl::StatusOr<std::vector<absl::Status>> ComputeSoftTargets(
      const InputColumns& inputs, int64_t rows, const std::vector<EncodedPart>& parts) override {
    std::vector<absl::Status> answers;
    const absl::Status status = Try([&](Teacher& teacher) -> Outcome {
      absl::StatusOr<std::vector<absl::Status>> computed =
          teacher.ComputeSoftTargets(inputs, rows, parts);
      if (!computed.ok()) return {computed.status(), absl::OkStatus()};
      answers = *std::move(computed);
      const auto bad = std::find_if(answers.begin(), answers.end(),
                                    [](const absl::Status& answer) { return !answer.ok(); });
      return {absl::OkStatus(), bad == answers.end() ? absl::OkStatus() : *bad};
    });
    if (!status.ok()) return status;
    return answers;
  }

 private:
  // What came of a batch on one device: its status, and if that is OK, whether all rows are finite.
  struct Outcome {
    absl::Status status;
    absl::Status finite;
  };

  Outcome Judge(const absl::Status& status, const float* logits, int64_t rows) const {
    return {status, status.ok() ? CheckFiniteRows(info_, logits, rows) : absl::OkStatus()};
  }

  // A row that is not finite may be the device's fault: that is known once another has computed it.
  absl::Status Try(const std::function<Outcome(Teacher&)>& compute) {
    std::vector<size_t> tried;
    absl::Status first;
    absl::Status last;
    while (const std::optional<size_t> index = Take(tried)) {
      const Outcome outcome = compute(*replicas_[*index].teacher);
      const bool good = outcome.status.ok() && outcome.finite.ok();
      GiveBack(*index, good);
      if (good) Blame(tried, first);
      if (good || absl::IsResourceExhausted(outcome.status)) return outcome.status;
      if (tried.empty()) first = outcome.status.ok() ? outcome.finite : outcome.status;
      last = outcome.status;
      tried.push_back(*index);
    }
    // What the last one wrote is what the caller has.
    return last.ok() ? last : first;
  }

  struct State {
    int under_way = 0;
    // Batches in a row that failed here and not elsewhere.
    int failures = 0;
    bool left_out = false;
  };

  // The least busy replica that is not in `tried`.
  std::optional<size_t> Take(const std::vector<size_t>& tried) {
    MutexLock lock(mutex_);
    std::optional<size_t> best;
    for (size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].left_out || std::count(tried.begin(), tried.end(), i) > 0) continue;
      if (!best.has_value() || states_[i].under_way < states_[*best].under_way) best = i;
    }
    if (best.has_value()) ++states_[*best].under_way;
    return best;
  }

  void GiveBack(size_t index, bool ok) {
    MutexLock lock(mutex_);
    --states_[index].under_way;
    if (ok) states_[index].failures = 0;
  }

  // Another device has done what failed on these with `error` on the first. That other one stays,
  // so that never all are left out.
  void Blame(const std::vector<size_t>& failed, const absl::Status& error) {
    MutexLock lock(mutex_);
    for (const size_t index : failed) {
      State& state = states_[index];
      if (state.left_out || ++state.failures < kMostFailures) continue;
      state.left_out = true;
      LogError("teacher {}: device {} is left out, {} batches in a row failed there alone: {}",
               info_.model_name, replicas_[index].device, kMostFailures,
               std::string(error.message()));
    }
  }

  const TeacherInfo info_;
  const std::vector<TeacherReplica> replicas_;
  Mutex mutex_;
  // The state of each replica.
  std::vector<State> states_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::shared_ptr<Teacher>> MakeReplicatedTeacher(
    std::vector<TeacherReplica> replicas) {
  const TeacherReplica& first = replicas.front();
  for (const TeacherReplica& replica : replicas) {
    if (replica.teacher->info().digest == first.teacher->info().digest) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("model ", first.teacher->info().model_name, " has other numerics on ",
                     replica.device, " (", replica.teacher->info().numerics_fingerprint,
                     ") than on ", first.device, " (", first.teacher->info().numerics_fingerprint,
                     "): give unlike devices models of their own, --model NAME=FILE,device=..."));
  }
  return std::shared_ptr<Teacher>(std::make_shared<ReplicatedTeacher>(std::move(replicas)));
}

}  // namespace distillery
