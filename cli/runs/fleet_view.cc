#include "cli/runs/fleet_view.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/runs/evaluation_text.h"
#include "cli/runs/progress.h"
#include "cli/runs/run_text.h"
#include "cli/terminal/terminal_text.h"
#include "cli/terminal/text_table.h"
#include "common/base/terminal.h"
#include "common/base/text.h"
#include "common/rpc/proto_conversion.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Table = std::vector<std::vector<std::string>>;

constexpr size_t kGap = 2;
constexpr int kBarCells = 10;

// Column 0 is the name; `wanted` are the others' positions, those that matter most first: as many
// as fit are shown, in their own order. `left`: those that are text.
std::vector<std::string> Layout(Table rows, const std::vector<size_t>& wanted,
                                const std::set<size_t>& left, size_t width) {
  constexpr size_t kLeastName = 12;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = PlainText(cell);
  }
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  const size_t least_name = std::min(widths[0], kLeastName);
  size_t used = least_name;
  std::vector<size_t> shown;
  for (const size_t column : wanted) {
    if (used + kGap + widths[column] > width) continue;
    used += kGap + widths[column];
    shown.push_back(column);
  }
  std::sort(shown.begin(), shown.end());
  widths[0] = std::min(widths[0], least_name + width - used);
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line = Pad(Fit(row[0], widths[0]), widths[0], false);
    for (const size_t column : shown) {
      absl::StrAppend(&line, std::string(kGap, ' '),
                      Pad(row[column], widths[column], left.count(column) == 0));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(Fit(line, width));
  }
  return lines;
}

std::string Bar(int64_t done, int64_t total) {
  if (total <= 0) return "";
  std::string bar;
  for (int64_t i = 0; i < kBarCells; ++i) bar += i * total < done * kBarCells ? "█" : "░";
  return bar;
}

std::string Number(double value) {
  if (value >= 1e6) return absl::StrFormat("%.1fM", value / 1e6);
  if (value >= 1e4) return absl::StrFormat("%.1fk", value / 1e3);
  return absl::StrFormat("%.0f", value);
}

std::string TaskText(const v1::TaskLease& lease) {
  const std::string& run = lease.run_id();
  switch (lease.kind()) {
    case v1::TASK_KIND_INITIALISE:
      return absl::StrCat(run, " W_0");
    case v1::TASK_KIND_EVALUATE:
      return absl::StrCat(run, " evaluates W_", lease.round());
    default:
      return absl::StrCat(run, " round ", lease.round() + 1, " replica ", lease.replica());
  }
}

std::string Plural(size_t count, const std::string& noun) {
  return absl::StrCat(count, " ", noun, count == 1 ? "" : "s");
}

// The lines of a run: that of the table, and below it why it does not get on. Not a column, which a
// narrow terminal would leave out.
std::vector<std::vector<std::string>> WithReasons(const std::vector<std::string>& table,
                                                  const std::vector<std::string>& reasons,
                                                  size_t width, size_t most_lines) {
  constexpr size_t kIndent = 2;
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < table.size(); ++i) {
    rows.push_back({table[i]});
    if (reasons[i].empty() || width <= kIndent) continue;
    for (const std::string& line : Wrap(reasons[i], width - kIndent, most_lines)) {
      rows.back().push_back(std::string(kIndent, ' ') + line);
    }
  }
  return rows;
}

std::vector<std::vector<std::string>> OneLineEach(const std::vector<std::string>& table) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(table.size());
  for (const std::string& line : table) rows.push_back({line});
  return rows;
}

size_t LineCount(const std::vector<std::vector<std::string>>& rows) {
  size_t count = 0;
  for (const auto& row : rows) count += row.size();
  return count;
}

// The lines of one part: title, the rows that fit into `most` lines, of the last the beginning if
// no more does, what was left out.
void Append(const std::string& title, const std::vector<std::vector<std::string>>& rows,
            size_t most, std::vector<std::string>* lines) {
  lines->push_back("");
  lines->push_back(title);
  const bool all = LineCount(rows) <= most;
  size_t room = all ? most : most - 1;
  size_t shown = 0;
  for (; shown < rows.size() && room > 0; ++shown) {
    const size_t fit = std::min(room, rows[shown].size());
    room -= fit;
    lines->insert(lines->end(), rows[shown].begin(),
                  rows[shown].begin() + static_cast<std::ptrdiff_t>(fit));
  }
  if (shown < rows.size()) lines->push_back(absl::StrCat("… ", rows.size() - shown, " more"));
}

}  // namespace

std::optional<double> FleetView::RateOf(const std::string& key, int64_t value, absl::Time at) {
  const auto found = counts_.find(key);
  std::optional<double> rate;
  if (found != counts_.end() && at > found->second.at && value >= found->second.value) {
    rate = static_cast<double>(value - found->second.value) /
           absl::ToDoubleSeconds(at - found->second.at);
  }
  counts_[key] = {at, value};
  return rate;
}

FleetView::Table FleetView::RunTable(const FleetSnapshot& snapshot,
                                     std::vector<std::string>* reasons) {
  std::vector<const v1::Run*> runs;
  for (const v1::Run& run : snapshot.runs) runs.push_back(&run);
  std::stable_sort(runs.begin(), runs.end(), [](const v1::Run* a, const v1::Run* b) {
    return !StandsStill(*a) && StandsStill(*b);
  });
  Table rows = {{"run", "state", "", "round", "accuracy", "loss", "samples/s", "left", "workers",
                 "lost leases", "T", "alpha"}};
  reasons->assign(1, "");
  for (const v1::Run* const run : runs) {
    const int64_t rounds = run->spec().training().rounds();
    const int64_t done = run->completed_round_count();
    Count& first = first_[run->run_id()];
    if (first.at == absl::Time()) first = {snapshot.at, done};
    std::string left;
    if (!StandsStill(*run) && done > first.value) {
      left = ShortDuration((snapshot.at - first.at) / (done - first.value) * (rounds - done));
    }
    const v1::EvaluationMetrics& evaluation = run->latest_evaluation();
    const v1::TrainMetrics& train = run->latest_round().train();
    rows.push_back({run->run_id(), RunStateName(*run), Bar(done, rounds),
                    absl::StrCat(done, "/", rounds), MainFigure(FromProto(evaluation)),
                    train.sample_count() > 0 ? absl::StrFormat("%.4f", train.loss()) : "",
                    StandsStill(*run) ? "" : Number(run->samples_per_second()), left,
                    absl::StrCat(run->active_lease_count()), absl::StrCat(run->lost_lease_count()),
                    absl::StrFormat("%g", run->spec().loss().temperature()),
                    absl::StrFormat("%g", run->spec().loss().alpha())});
    reasons->push_back(PlainText(run->state_reason()));
  }
  return rows;
}

FleetView::Table FleetView::WorkerTable(const FleetSnapshot& snapshot) {
  constexpr double kQuiet = 10;  // seconds
  const auto does = [](const v1::Worker& worker) -> std::string {
    if (worker.gone()) return "gone";
    return worker.has_lease() ? TaskText(worker.lease()) : "waits for a task";
  };
  Table rows = {{"worker", "does", "samples", "samples/s", "for", "done", "lost", "heard of",
                 "computes with"}};
  for (const v1::Worker& worker : snapshot.workers) {
    const bool busy = worker.has_lease();
    std::string rate;
    if (busy) {
      const auto per_second =
          RateOf(absl::StrCat(worker.worker_id(), " ", TaskText(worker.lease())),
                 worker.sample_count(), snapshot.at);
      if (per_second.has_value()) rate = Number(*per_second);
    }
    rows.push_back(
        {worker.name(), does(worker),
         busy ? Number(static_cast<double>(worker.sample_count())) : "", rate,
         busy ? ShortDuration(absl::Seconds(worker.lease_seconds())) : "",
         absl::StrCat(worker.done_task_count()), absl::StrCat(worker.lost_lease_count()),
         worker.silent_seconds() > kQuiet
             ? absl::StrCat(ShortDuration(absl::Seconds(worker.silent_seconds())), " ago")
             : "now",
         worker.numerics_fingerprint()});
  }
  return rows;
}

FleetView::Table FleetView::TeacherTable(const FleetSnapshot& snapshot) {
  Table rows = {{"teacher", "model", "digest", "rows/s", "computed/s", "streams", "queued", "busy",
                 "cache hits", "computes with"}};
  for (const FleetSnapshot::TeacherState& teacher : snapshot.teachers) {
    if (!teacher.answer.ok()) {
      rows.push_back({teacher.address, "does not answer", "", "", "", "", "", "", "", ""});
      continue;
    }
    const v1::TeacherActivity& activity = teacher.answer->activity();
    const auto rate = [&](const char* what, int64_t value) {
      const auto per_second = RateOf(absl::StrCat(teacher.address, " ", what), value, snapshot.at);
      return per_second.has_value() ? Number(*per_second) : std::string();
    };
    std::string address = teacher.address;
    for (const v1::Teacher& model : teacher.answer->teachers()) {
      const bool first = &model == &teacher.answer->teachers(0);
      rows.push_back(
          {address, model.model_name(),
           model.ready() ? model.teacher_digest().substr(0, 8) : "loading",
           first ? rate("streamed", activity.streamed_row_count()) : "",
           first ? rate("computed", activity.computed_row_count()) : "",
           first ? absl::StrCat(activity.open_stream_count()) : "",
           first ? absl::StrCat(activity.queued_row_count()) : "",
           first ? absl::StrCat(activity.busy_slot_count(), "/", activity.slot_count()) : "",
           first ? FormatShare(activity.cache_hit_count(),
                               activity.cache_hit_count() + activity.cache_miss_count())
                 : "",
           model.numerics_fingerprint()});
      address.clear();
    }
  }
  return rows;
}

std::vector<std::string> FleetView::Lines(const FleetSnapshot& snapshot, size_t width,
                                          size_t height) {
  const auto going =
      static_cast<size_t>(std::count_if(snapshot.runs.begin(), snapshot.runs.end(),
                                        [](const v1::Run& run) { return !StandsStill(run); }));
  const auto answering =
      static_cast<size_t>(std::count_if(snapshot.teachers.begin(), snapshot.teachers.end(),
                                        [](const auto& teacher) { return teacher.answer.ok(); }));
  const auto gone =
      static_cast<size_t>(std::count_if(snapshot.workers.begin(), snapshot.workers.end(),
                                        [](const v1::Worker& worker) { return worker.gone(); }));
  const std::string clock = absl::FormatTime("%H:%M:%S", snapshot.at, absl::LocalTimeZone());
  const std::string title = absl::StrCat(
      "Distillery  ", snapshot.coordinator, "  ",
      going == 0 ? std::string("no run goes on")
                 : absl::StrCat(Plural(going, "run"), going == 1 ? " goes on" : " go on"),
      ", ", Plural(snapshot.workers.size() - gone, "worker"),
      gone == 0 ? std::string() : absl::StrCat(" (", gone, " gone)"), ", ",
      Plural(answering, "teacher"));
  std::vector<std::string> lines;
  lines.push_back(WidthOf(title) + kGap + clock.size() <= width
                      ? Pad(title, width - clock.size(), false) + clock
                      : Fit(title, width));
  if (!snapshot.status.ok()) {
    constexpr size_t kMostLines = 3;
    for (std::string& line :
         Wrap(PlainText(absl::StrCat("! ", std::string(snapshot.status.message()))), width,
              kMostLines)) {
      lines.push_back(std::move(line));
    }
  }

  std::vector<std::string> reasons;
  const Table run_table = RunTable(snapshot, &reasons);
  const auto runs =
      WithReasons(Layout(run_table, {1, 3, 4, 2, 7, 5, 6, 8, 9, 10, 11}, {1, 2}, width), reasons,
                  width, std::max<size_t>(2, height / 8));
  const Table workers = WorkerTable(snapshot);
  const Table teachers = TeacherTable(snapshot);
  // Each part has a gap, a title, and the head of its table; teachers are few.
  const size_t fixed = lines.size() + size_t{3} * 2;
  const size_t room = height > fixed ? height - fixed : 0;
  const size_t for_teachers = std::min(teachers.size(), std::max<size_t>(2, room / 4));
  const size_t rest = room > for_teachers ? room - for_teachers : 0;
  const size_t run_lines = LineCount(runs);
  size_t for_runs = std::min(run_lines, rest / 2);
  const size_t for_workers = std::min(workers.size(), rest - for_runs);
  for_runs = std::min(run_lines, rest - for_workers);

  Append("RUNS", runs, std::max<size_t>(for_runs, 2), &lines);
  Append("WORKERS", OneLineEach(Layout(workers, {1, 3, 4, 6, 5, 2, 7, 8}, {1, 8}, width)),
         std::max<size_t>(for_workers, 2), &lines);
  Append("TEACHERS", OneLineEach(Layout(teachers, {1, 3, 5, 8, 4, 7, 2, 6, 9}, {1, 2, 9}, width)),
         std::max<size_t>(for_teachers, 2), &lines);
  if (lines.size() > height) lines.resize(height);
  return lines;
}

std::string FleetToJson(const FleetSnapshot& snapshot) {
  nlohmann::ordered_json json;
  json["coordinator"] = snapshot.coordinator;
  json["error"] = std::string(snapshot.status.message());
  json["runs"] = nlohmann::ordered_json::array();
  for (const v1::Run& run : snapshot.runs) {
    json["runs"].push_back(nlohmann::ordered_json::parse(ToJson(run)));
  }
  json["workers"] = nlohmann::ordered_json::array();
  for (const v1::Worker& worker : snapshot.workers) {
    json["workers"].push_back(nlohmann::ordered_json::parse(ToJson(worker)));
  }
  json["teachers"] = nlohmann::ordered_json::array();
  for (const auto& teacher : snapshot.teachers) {
    nlohmann::ordered_json one;
    one["address"] = teacher.address;
    if (teacher.answer.ok()) {
      one["answer"] = nlohmann::ordered_json::parse(ToJson(*teacher.answer));
    } else {
      one["error"] = std::string(teacher.answer.status().message());
    }
    json["teachers"].push_back(std::move(one));
  }
  return JsonText(json, 2);
}

}  // namespace distillery
