#include "coordinator/run_entry.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"

namespace distillery {

double MedianOf(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

absl::Status RunEntry::CheckNorms(const std::vector<double>& delta_norms) const {
  constexpr size_t kRecent = 5;
  const double ratio = spec.averaging.max_norm_ratio;
  if (ratio == 0 || rounds.empty() || accepted_round == row.completed_rounds) {
    return absl::OkStatus();
  }
  std::vector<double> recent;
  for (size_t i = rounds.size(); i > 0 && recent.size() < kRecent; --i) {
    recent.push_back(rounds[i - 1].delta_norm);
  }
  const double median = MedianOf(recent);
  for (size_t k = 0; k < delta_norms.size(); ++k) {
    if (delta_norms[k] <= ratio * median) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "round ", row.completed_rounds, ", replica ", k, ": the delta's norm ", delta_norms[k],
        " is more than averaging.max_norm_ratio (", ratio, ") times ", median,
        ", the median of the last rounds; to take it all the same, resume the run"));
  }
  return absl::OkStatus();
}

void RunEntry::MakeTasks() {
  const auto add = [&](TaskKind kind, int64_t round, int64_t replica) {
    const TaskId task{row.run_id, kind, round, replica};
    if (tasks.count(KeyOf(task)) > 0) return;
    TaskEntry entry;
    entry.row.task = task;
    tasks.emplace(KeyOf(task), std::move(entry));
  };
  if (Ended(row.state) || !damage.empty()) return;
  if (row.weights_sha256.empty()) {
    add(TaskKind::kInitialise, 0, 0);
    return;
  }
  if (row.completed_rounds < spec.training.rounds && !AwaitsGuard()) {
    for (int64_t k = 0; k < spec.training.replicas; ++k) {
      add(TaskKind::kTrain, row.completed_rounds, k);
    }
  }
  while (planned_rounds_ < row.completed_rounds) {
    ++planned_rounds_;
    if (spec.EvaluatesAt(planned_rounds_) && evaluations.count(planned_rounds_) == 0) {
      add(TaskKind::kEvaluate, planned_rounds_, 0);
    }
  }
}

TaskEntry* RunEntry::Find(const TaskId& task) {
  const auto found = tasks.find(KeyOf(task));
  return found == tasks.end() ? nullptr : &found->second;
}

TaskEntry* RunEntry::NextFree(const std::function<bool(const TaskEntry&)>& fits) {
  TaskEntry* next = nullptr;
  for (auto& [key, entry] : tasks) {
    const bool evaluate = std::get<0>(key) == TaskKind::kEvaluate;
    // Whether one fits is not asked where it does not matter: it is too late to begin, or another
    // is next already.
    if (!evaluate && (next != nullptr || std::get<1>(key) < row.completed_rounds)) continue;
    if (!entry.free() || !fits(entry)) continue;
    if (evaluate) return &entry;
    next = &entry;
  }
  return next;
}

bool RunEntry::ReadyToAverage(absl::Duration now) const {
  if (Ended(row.state) || row.weights_sha256.empty() ||
      row.completed_rounds >= spec.training.rounds || AwaitsGuard()) {
    return false;
  }
  const bool all = std::all_of(tasks.begin(), tasks.end(), [&](const auto& item) {
    return std::get<0>(item.first) != TaskKind::kTrain ||
           std::get<1>(item.first) != row.completed_rounds || item.second.row.done;
  });
  return all || QuorumDeadline() <= now;
}

absl::Duration RunEntry::QuorumDeadline() const {
  if (!spec.needs_quorum() || Ended(row.state)) return absl::InfiniteDuration();
  const auto in = std::count_if(tasks.begin(), tasks.end(), [&](const auto& item) {
    return std::get<0>(item.first) == TaskKind::kTrain &&
           std::get<1>(item.first) == row.completed_rounds && item.second.row.done;
  });
  return in >= spec.sync.quorum ? round_began + absl::Seconds(spec.sync.deadline_seconds)
                                : absl::InfiniteDuration();
}

std::vector<const TaskEntry*> RunEntry::DeltasToAverage() const {
  std::vector<const TaskEntry*> deltas;
  for (const bool late : {false, true}) {
    for (const auto& [key, entry] : tasks) {
      if (std::get<0>(key) == TaskKind::kTrain && entry.row.done &&
          (std::get<1>(key) < row.completed_rounds) == late) {
        deltas.push_back(&entry);
      }
    }
  }
  return deltas;
}

std::vector<int64_t> RunEntry::CloseRound() {
  std::vector<int64_t> dropped;
  const bool keeps_late = spec.sync.late_deltas == "weight";
  for (auto task = tasks.begin(); task != tasks.end();) {
    const auto& [kind, round, replica] = task->first;
    const TaskEntry& entry = task->second;
    const bool wanted = keeps_late && averaged.count(task->first) == 0 && !entry.free() &&
                        row.completed_rounds - round <= kMostRoundsLate;
    if (kind != TaskKind::kTrain || wanted) {
      ++task;
      continue;
    }
    dropped.insert(dropped.end(), entry.tokens.begin(), entry.tokens.end());
    task = tasks.erase(task);
  }
  return dropped;
}

void RunEntry::AddLate(TaskRow late) {
  if (spec.sync.late_deltas != "weight" || late.task.kind != TaskKind::kTrain || !late.done ||
      late.counted || late.task.round >= row.completed_rounds ||
      row.completed_rounds - late.task.round > kMostRoundsLate) {
    return;
  }
  const TaskKey key = KeyOf(late.task);
  tasks[key].row = std::move(late);
}

bool RunEntry::Complete() const {
  return row.completed_rounds == spec.training.rounds && RoundsToEvaluate().empty();
}

std::vector<TaskRow> RunEntry::AveragedTasks() const {
  std::vector<TaskRow> rows;
  for (const TaskEntry* const entry : DeltasToAverage()) {
    if (averaged.count(KeyOf(entry->row.task)) > 0) rows.push_back(entry->row);
  }
  return rows;
}

void RunEntry::ForgetEvaluations(const std::function<bool(int64_t round)>& gone) {
  for (auto entry = tasks.begin(); entry != tasks.end();) {
    const auto& [kind, round, replica] = entry->first;
    entry = kind == TaskKind::kEvaluate && gone(round) ? tasks.erase(entry) : std::next(entry);
  }
}

std::vector<int64_t> RunEntry::RoundsToEvaluate() const {
  std::vector<int64_t> rounds_to_evaluate;
  for (const auto& [key, entry] : tasks) {
    if (std::get<0>(key) == TaskKind::kEvaluate) rounds_to_evaluate.push_back(std::get<1>(key));
  }
  return rounds_to_evaluate;
}

std::set<int64_t> RunEntry::RoundsToKeep() const {
  const std::vector<int64_t> wanted = RoundsToEvaluate();
  std::set<int64_t> keep(wanted.begin(), wanted.end());
  if (spec.guarded()) {
    keep.insert(JudgeRun(spec, evaluations).best_round);
    keep.insert(FileRound(row.completed_rounds));
  }
  return keep;
}

int64_t RunEntry::FileRound(int64_t round) const {
  if (round < 1 || round > static_cast<int64_t>(rounds.size())) return round;
  const int64_t other = rounds[static_cast<size_t>(round) - 1].rolled_back_to;
  return other > 0 ? other : round;
}

const std::string& RunEntry::WeightsSha256(int64_t round) const {
  const int64_t file_round = FileRound(round);
  return file_round == 0 ? row.initial_weights_sha256
                         : rounds[static_cast<size_t>(file_round) - 1].weights_sha256;
}

bool RunEntry::AwaitsGuard() const {
  return spec.guarded() && row.completed_rounds > 0 && spec.EvaluatesAt(row.completed_rounds) &&
         evaluations.count(row.completed_rounds) == 0;
}

GuardVerdict RunEntry::Judge() const {
  if (!spec.guarded() || evaluations.empty() ||
      evaluations.rbegin()->first != row.completed_rounds) {
    return {};
  }
  return JudgeRun(spec, evaluations);
}

absl::Duration RunEntry::BackupAfter() const {
  // Shorter ones would race those that are merely a little late.
  constexpr absl::Duration kLeast = absl::Seconds(1);
  const std::optional<absl::Duration>& median = pace.MedianTaskTime();
  if (spec.scheduling.backup_after == 0 || !median.has_value()) return absl::InfiniteDuration();
  return std::max(kLeast, spec.scheduling.backup_after * *median);
}

bool TaskEntry::FailedOn(const std::string& worker_id) const {
  const std::vector<std::string> failed = absl::StrSplit(row.failed_workers, ',');
  return std::find(failed.begin(), failed.end(), worker_id) != failed.end();
}

void TaskEntry::NoteFailure(const std::string& worker_id) {
  ++row.failures;
  if (FailedOn(worker_id)) return;
  absl::StrAppend(&row.failed_workers, row.failed_workers.empty() ? "" : ",", worker_id);
}

int64_t TaskEntry::failed_worker_count() const {
  if (row.failed_workers.empty()) return 0;
  return 1 + std::count(row.failed_workers.begin(), row.failed_workers.end(), ',');
}

void RunEntry::NoteEvaluation(int64_t round, EvaluationMetrics metrics) {
  if (!evaluations.empty() && evaluations.rbegin()->first > round) {
    metrics = metrics.WithoutClasses();
  } else if (!evaluations.empty()) {
    evaluations.rbegin()->second = evaluations.rbegin()->second.WithoutClasses();
  }
  const bool guards = spec.guarded() && (!std::isfinite(metrics.held_out_cross_entropy) ||
                                         !std::isfinite(metrics.held_out_mean_squared_error));
  if (!metrics.finite()) {
    metrics.calibration_bins.clear();
    if (!guards && (diverged_round_ == 0 || round < diverged_round_)) diverged_round_ = round;
  }
  evaluations[round] = std::move(metrics);
}

std::string RunEntry::Divergence() const {
  if (diverged_round_ == 0) return "";
  const EvaluationMetrics& metrics = evaluations.at(diverged_round_);
  const bool of_values = metrics.value_count > 0;
  return absl::StrCat("diverged: the evaluation after ", diverged_round_, " rounds gives a ",
                      of_values ? "mean squared error" : "cross entropy", " of ",
                      of_values ? metrics.mean_squared_error : metrics.cross_entropy,
                      ": lower training.learning_rate (", spec.training.learning_rate,
                      ") or set training.max_gradient_norm");
}

bool RunEntry::RoundsWhole() const {
  if (static_cast<int64_t>(rounds.size()) != row.completed_rounds) return false;
  for (size_t i = 0; i < rounds.size(); ++i) {
    if (rounds[i].round != static_cast<int64_t>(i)) return false;
  }
  return true;
}

int64_t RunEntry::TrainingBytes() const {
  const auto& training = spec.training;
  const bool student_file = spec.student_is_file();
  const int64_t moments = training.optimizer == "adamw" ? 2 : training.momentum > 0 ? 1 : 0;
  // The file holds the moments that go from round to round.
  const int64_t parameters =
      spec.carries_optimizer_state() ? weights_bytes / (1 + moments) : weights_bytes;
  // Those that a student of one's own has frozen have neither gradients nor moments; beside the
  // model there is the file that it was read from.
  return parameters * (student_file ? 2 : 2 + moments);
}

std::vector<std::string> RunEntry::BufferNames() const {
  std::vector<std::string> names;
  for (const auto& name : nlohmann::json::parse(row.buffer_names, nullptr,
                                                /*allow_exceptions=*/false)) {
    if (name.is_string()) names.push_back(name.get<std::string>());
  }
  return names;
}

RoundView RunEntry::ViewRound(const RoundRow& round) const {
  RoundView view;
  view.row = round;
  const auto evaluation = evaluations.find(round.round + 1);
  if (evaluation != evaluations.end()) view.evaluation = evaluation->second.WithoutClasses();
  return view;
}

absl::Duration RunEntry::TellAfter() const {
  constexpr absl::Duration kTellEvery = absl::Milliseconds(100);
  // Whoever watches sees each end at once, and of a busy run no more than a person can.
  const bool still = Ended(row.state) || row.state == RunState::kPaused;
  return still ? -absl::InfiniteDuration() : told + kTellEvery;
}

RunView RunEntry::View(absl::Duration now, bool with_details) const {
  RunView view;
  view.row = row;
  if (!damage.empty()) view.row.state_reason = absl::StrCat("damaged: ", damage);
  if (!Ended(row.state) && view.row.state_reason.empty()) {
    view.row.state_reason =
        blocked_by.empty() ? waiting_for : absl::StrCat("waits for run ", blocked_by);
  }
  if (spec.guarded()) view.best_round = JudgeRun(spec, evaluations).best_round;
  view.spec = spec;
  if (!rounds.empty()) view.latest_round = ViewRound(rounds.back());
  if (!evaluations.empty()) {
    const auto& [round, metrics] = *evaluations.rbegin();
    view.latest_evaluation_round = round;
    view.latest_evaluation = with_details ? metrics : metrics.WithoutClasses();
  }
  view.samples_per_second = pace.SamplesPerSecond(now, Ended(row.state));
  return view;
}

}  // namespace distillery
