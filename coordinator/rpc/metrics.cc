#include "coordinator/rpc/metrics.h"

#include <string>

#include "common/rpc/metric_list.h"

namespace distillery {
namespace {

// A metric with no label, or with one value of it for each thing that can be counted.
struct Counted {
  Count what;
  const char* name;
  const char* help;
  const char* label = nullptr;
  // Shown as 0 before the first.
  std::vector<absl::string_view> values = {};
};

std::vector<absl::string_view> EndedOutcomes() {
  std::vector<absl::string_view> names;
  for (const LeaseOutcomeSpec& spec : kLeaseOutcomes) {
    // No lease ends as these.
    if (spec.outcome == LeaseOutcome::kActive || spec.outcome == LeaseOutcome::kDamaged) continue;
    names.push_back(spec.name);
  }
  return names;
}

const std::vector<Counted>& CountedMetrics() {
  static const auto* const list = new std::vector<Counted>{
      {Count::kRunsSubmitted, "submitted_runs_total", "Runs accepted since the start."},
      {Count::kLeasesGranted,
       "granted_leases_total",
       "Leases granted, by what the task asks.",
       "kind",
       {"initialise", "train", "evaluate"}},
      {Count::kBackupLeases, "backup_leases_total",
       "Leases of tasks that another worker holds and takes long for."},
      {Count::kLeasesEnded, "ended_leases_total", "Leases that ended, by how.", "outcome",
       EndedOutcomes()},
      {Count::kUploadsAccepted, "accepted_uploads_total", "Results taken and recorded."},
      {Count::kUploadedBytes, "uploaded_bytes_total", "Bytes of accepted uploads, as sent."},
      {Count::kUploadsDuplicate, "duplicate_uploads_total",
       "Uploads of a result that was recorded already; not counted again."},
      {Count::kUploadsRejected,
       "rejected_uploads_total",
       "Uploads that ended with an error, by status code.",
       "code",
       {}},
      {Count::kDownloadedBytes, "downloaded_bytes_total", "Bytes of weights sent."},
      {Count::kRoundsAveraged, "averaged_rounds_total", "Rounds averaged and recorded."},
      {Count::kRejectedDeltas,
       "rejected_deltas_total",
       "Results that no correct worker sends, by reason; norm: beyond averaging.max_norm_ratio.",
       "reason",
       {"non_finite", "norm", "layout", "malformed", "figures"}},
      {Count::kStrikes, "strikes_total", "Results counted against their worker."},
      {Count::kWorkersSetAside, "set_aside_workers_total",
       "Workers that got no more tasks after three strikes in a row."},
      {Count::kDigestFailures,
       "digest_failures_total",
       "ALARM: files of the state folder that were missing or not as recorded.",
       "file",
       {"delta", "weights"}},
      {Count::kDigestRepairs,
       "digest_repairs_total",
       "Such files that were made again: a delta's task is done again, weights are rebuilt.",
       "file",
       {"delta", "weights"}},
      {Count::kNondeterminismAlarms, "nondeterminism_alarms_total",
       "ALARM: results of one task by two workers that differ."},
      {Count::kDiskFullPauses, "disk_full_pauses_total",
       "Times that the disk was full and all runs waited for room."},
      {Count::kRefusedWaits, "refused_waits_total",
       "LeaseTask calls refused: too many of one worker waited."},
  };
  return *list;
}

const char* Name(TaskState state) {
  switch (state) {
    case TaskState::kFree:
      return "free";
    case TaskState::kLeased:
      return "leased";
    case TaskState::kDone:
      return "done";
  }
  return "unknown";
}

MetricList::Histogram ToHistogram(int64_t count, double sum, const std::vector<int64_t>& at_most,
                                  const std::vector<double>& bounds) {
  MetricList::Histogram histogram;
  histogram.sample_count = static_cast<uint64_t>(count);
  histogram.sample_sum = sum;
  for (size_t i = 0; i < bounds.size(); ++i) {
    histogram.bucket.push_back({static_cast<uint64_t>(at_most[i]), bounds[i]});
  }
  return histogram;
}

void AddCounts(const Statistics& statistics, MetricList* list) {
  const auto counts = statistics.counts();
  for (const Counted& metric : CountedMetrics()) {
    std::map<std::string, int64_t> values;
    for (const absl::string_view value : metric.values) values[std::string(value)] = 0;
    if (metric.label == nullptr) values[""] = 0;
    for (const auto& [key, count] : counts) {
      if (key.first == metric.what) values[key.second] = count;
    }
    for (const auto& [value, count] : values) {
      list->Counter(metric.name, metric.help, static_cast<double>(count),
                    metric.label == nullptr ? MetricList::Labels()
                                            : MetricList::Labels{{metric.label, value}});
    }
  }
}

void AddGauges(const Gauges& gauges, MetricList* list) {
  const auto gauge = [&](const char* name, const char* help, auto value) {
    list->Gauge(name, help, static_cast<double>(value));
  };
  for (const auto& [state, name] : kRunStates) {
    const auto found = gauges.runs.find(state);
    list->Gauge("runs", "Runs by their recorded state.",
                static_cast<double>(found == gauges.runs.end() ? 0 : found->second),
                {{"state", std::string(name)}});
  }
  for (const TaskKind kind : {TaskKind::kInitialise, TaskKind::kTrain, TaskKind::kEvaluate}) {
    for (const TaskState state : {TaskState::kFree, TaskState::kLeased, TaskState::kDone}) {
      const auto found = gauges.tasks.find({kind, state});
      list->Gauge("tasks", "Tasks of present rounds and evaluations that are out, of unended runs.",
                  static_cast<double>(found == gauges.tasks.end() ? 0 : found->second),
                  {{"kind", std::string(TaskKindName(kind))}, {"state", Name(state)}});
    }
  }
  gauge("active_leases", "Tasks that workers hold now.", gauges.active_leases);
  gauge("live_workers", "Workers heard of within a lease's duration.", gauges.live_workers);
  gauge("known_workers", "Workers that ever registered with this state folder.",
        gauges.known_workers);
  gauge("waiting_workers", "LeaseTask calls that wait for a task.", gauges.waiting_workers);
  gauge("watchers", "WatchRun streams that are open.", gauges.watchers);
  gauge("disk_full", "1 while runs wait for room on the disk, else 0.", gauges.disk_full ? 1 : 0);
  gauge("free_bytes", "Bytes free in the state folder's file system; -1: not known.",
        gauges.free_bytes);
}

}  // namespace

std::vector<prometheus::MetricFamily> CoordinatorMetrics::Collect() const {
  MetricList list("distillery_coordinator_");
  list.AddBuildInfo();
  AddGauges(coordinator_->gauges(), &list);
  AddCounts(coordinator_->statistics(), &list);
  const Statistics::Durations averaging = coordinator_->statistics().averaging();
  list.AddHistogram(
      "averaging_seconds",
      "Seconds that averaging a round took, the writing of its weights included.",
      ToHistogram(averaging.count, averaging.seconds, averaging.at_most, Statistics::Bounds()));
  for (const auto& [name, method] : requests_->methods()) {
    list.AddHistogram(
        "request_seconds", "Seconds from a call's begin to its status, waits and streams included.",
        ToHistogram(method.count, method.seconds, method.at_most, RequestStatistics::Bounds()),
        {{"rpc", name}});
    for (const auto& [code, count] : method.codes) {
      list.Counter("requests_total", "Calls that ended, by status code.",
                   static_cast<double>(count), {{"rpc", name}, {"code", code}});
    }
  }
  const Listener::Statistics connections = server_->connections();
  list.Gauge("open_connections", "Connections that are open.",
             static_cast<double>(connections.open_count));
  list.Counter("accepted_connections_total", "Connections accepted.",
               static_cast<double>(connections.accepted_count));
  list.Counter("refused_connections_total",
               "Connections closed at once: too many were open, or no file descriptor was left.",
               static_cast<double>(connections.refused_count));
  const CallQuota::Statistics calls = server_->calls();
  list.Gauge("open_calls",
             "Calls under way, streams and cancelled ones not yet cleared away included.",
             static_cast<double>(calls.live_count));
  list.Counter("refused_calls_total", "Calls refused because too many were under way.",
               static_cast<double>(calls.refused_count));
  return list.Take();
}

}  // namespace distillery
