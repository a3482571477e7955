#include "coordinator/statistics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/logging.h"
#include "common/run/task_log_fields.h"

namespace distillery {

const std::vector<double>& Statistics::Bounds() {
  static const auto* const bounds =
      new std::vector<double>{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100};
  return *bounds;
}

void Statistics::Add(Count what, const std::string& label, int64_t n) {
  MutexLock lock(mutex_);
  counts_[{what, label}] += n;
}

int64_t Statistics::Of(Count what, const std::string& label) const {
  MutexLock lock(mutex_);
  const auto found = counts_.find({what, label});
  return found == counts_.end() ? 0 : found->second;
}

std::map<std::pair<Count, std::string>, int64_t> Statistics::counts() const {
  MutexLock lock(mutex_);
  return counts_;
}

void Statistics::NoteAveraging(absl::Duration time) {
  const double seconds = absl::ToDoubleSeconds(time);
  MutexLock lock(mutex_);
  averaging_.at_most.resize(Bounds().size());
  ++averaging_.count;
  averaging_.seconds += seconds;
  for (size_t i = 0; i < Bounds().size(); ++i) averaging_.at_most[i] += seconds <= Bounds()[i];
}

Statistics::Durations Statistics::averaging() const {
  MutexLock lock(mutex_);
  Durations durations = averaging_;
  durations.at_most.resize(Bounds().size());
  return durations;
}

void Statistics::Note(Event event) {
  std::string line = absl::StrCat("event=", event.kind);
  std::vector<LogField> fields = {{"event", event.kind}};
  if (event.task.has_value()) {
    for (LogField& field : TaskLogFields(*event.task)) fields.push_back(std::move(field));
  } else if (!event.run_id.empty()) {
    fields.push_back({"run", event.run_id});
  }
  if (!event.worker_id.empty()) fields.push_back({"worker", event.worker_id});
  for (const auto& [name, value] :
       {std::pair(" run=", event.run_id),
        std::pair(" task=", event.task.has_value() ? event.task->ToString() : std::string()),
        std::pair(" worker=", event.worker_id)}) {
    // A task's text has spaces in it.
    if (!value.empty()) absl::StrAppend(&line, name, "\"", value, "\"");
  }
  {
    const LogFields about(std::move(fields));
    LogInfo("{}: {}", line, event.text);
  }
  event.unix_millis = absl::ToUnixMillis(clock_->WallNow());
  MutexLock lock(mutex_);
  events_.push_back(std::move(event));
  if (events_.size() > kKeptEvents) events_.pop_front();
}

std::vector<Statistics::Event> Statistics::events() const {
  MutexLock lock(mutex_);
  return {events_.begin(), events_.end()};
}

}  // namespace distillery
