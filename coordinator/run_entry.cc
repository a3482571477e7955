#include "coordinator/run_entry.h"

#include <algorithm>

namespace distillery {

void RunEntry::MakeTasks() {
  const auto add = [&](TaskKind kind, int64_t round, int64_t replica) {
    const TaskId task{row.run_id, kind, round, replica};
    if (tasks.count(KeyOf(task)) > 0) return;
    TaskEntry entry;
    entry.row.task = task;
    tasks.emplace(KeyOf(task), std::move(entry));
  };
  if (Ended(row.state)) return;
  if (row.weights_sha256.empty()) {
    add(TaskKind::kInitialise, 0, 0);
    return;
  }
  if (row.completed_rounds < spec.training.rounds) {
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

TaskEntry* RunEntry::NextFree() {
  TaskEntry* next = nullptr;
  for (auto& [key, entry] : tasks) {
    if (entry.row.done || entry.token != 0) continue;
    if (std::get<0>(key) == TaskKind::kEvaluate) return &entry;
    if (next == nullptr) next = &entry;
  }
  return next;
}

bool RunEntry::ReadyToAverage() const {
  if (Ended(row.state) || row.weights_sha256.empty() ||
      row.completed_rounds >= spec.training.rounds) {
    return false;
  }
  return std::all_of(tasks.begin(), tasks.end(), [](const auto& item) {
    return std::get<0>(item.first) != TaskKind::kTrain || item.second.row.done;
  });
}

bool RunEntry::Complete() const {
  return row.completed_rounds == spec.training.rounds && RoundsToEvaluate().empty();
}

std::vector<int64_t> RunEntry::RoundsToEvaluate() const {
  std::vector<int64_t> rounds_to_evaluate;
  for (const auto& [key, entry] : tasks) {
    if (std::get<0>(key) == TaskKind::kEvaluate) rounds_to_evaluate.push_back(std::get<1>(key));
  }
  return rounds_to_evaluate;
}

void RunEntry::NoteSamples(int64_t samples, absl::Duration now) {
  samples_.emplace_back(now, samples);
  while (now - samples_.front().first > kRateWindow) samples_.pop_front();
}

double RunEntry::SamplesPerSecond(absl::Duration now) const {
  // The first entry only marks where the measured time begins.
  int64_t total = 0;
  for (size_t i = 1; i < samples_.size(); ++i) total += samples_[i].second;
  if (total == 0) return 0;
  const absl::Duration end = Ended(row.state) ? samples_.back().first : now;
  const double seconds = absl::ToDoubleSeconds(end - samples_.front().first);
  return seconds > 0 ? static_cast<double>(total) / seconds : 0;
}

RoundView RunEntry::ViewRound(const RoundRow& round) const {
  RoundView view;
  view.row = round;
  const auto evaluation = evaluations.find(round.round + 1);
  if (evaluation != evaluations.end()) view.evaluation = evaluation->second;
  return view;
}

RunView RunEntry::View(absl::Duration now) const {
  RunView view;
  view.row = row;
  if (!Ended(row.state) && view.row.state_reason.empty()) view.row.state_reason = waiting_for;
  view.spec = spec;
  if (!rounds.empty()) view.latest_round = ViewRound(rounds.back());
  if (!evaluations.empty()) {
    view.latest_evaluation_round = evaluations.rbegin()->first;
    view.latest_evaluation = evaluations.rbegin()->second;
  }
  view.samples_per_second = SamplesPerSecond(now);
  return view;
}

}  // namespace distillery
