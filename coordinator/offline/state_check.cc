#include "coordinator/offline/state_check.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "coordinator/run_loader.h"
#include "coordinator/state/each_file.h"
#include "coordinator/state/file_check.h"
#include "coordinator/state/record.h"
#include "coordinator/state/record_reader.h"

namespace distillery {
namespace {

namespace fs = std::filesystem;

constexpr char kRecord[] = "record.sqlite3";
constexpr char kFromCopy[] = "put it back from a copy of the folder";

class StateChecker {
 public:
  StateChecker(std::string folder, const StateCheckOptions& options)
      : folder_(std::move(folder)), options_(options) {}

  absl::StatusOr<StateReport> Run() {
    DISTILLERY_ASSIGN_OR_RETURN(
        reader_, RecordReader::Open(folder_ + "/" + kRecord, RecordReader::Access::kMend));
    DISTILLERY_RETURN_IF_ERROR(ReadTables());
    if (!options_.forget_run.empty()) DISTILLERY_RETURN_IF_ERROR(ForgetRun());
    CheckLoading();
    CheckRuns();
    CheckTasks();
    CheckReferences();
    CheckUploads();
    FindLeftovers();
    DISTILLERY_RETURN_IF_ERROR(reader_->Commit());
    return std::move(report_);
  }

 private:
  void Add(const std::string& kind, std::string what, std::string remedy) {
    report_.findings.push_back({kind, std::move(what), std::move(remedy)});
  }
  void Damaged(std::string what, std::string remedy) {
    Add("damaged", std::move(what), std::move(remedy));
  }

  absl::Status ReadTables() {
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> problems,
                                reader_->StructureProblems());
    for (const std::string& problem : problems) {
      Damaged(absl::StrCat("record: ", problem),
              absl::StrCat(kFromCopy, ", or try `sqlite3 ", kRecord, " .recover`"));
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> tables, reader_->Tables());
    for (const std::string& table : tables) {
      std::vector<StoredRow>& rows = rows_[table];
      if (const absl::Status status = reader_->Read(table, &rows); !status.ok()) {
        Damaged(std::string(status.message()),
                absl::StrCat(kFromCopy, "; `coordinator state export` saves what can be read"));
      }
      report_.row_count += static_cast<int64_t>(rows.size());
      for (const StoredRow& row : rows) {
        if (!row.sound) DISTILLERY_RETURN_IF_ERROR(DamagedRow(table, row));
      }
      const auto unsound = [](const StoredRow& row) { return !row.sound; };
      for (const StoredRow& row : rows) {
        if (!row.sound && row.values.size() > 0) damaged_runs_.insert(row.Text("run_id"));
      }
      rows.erase(std::remove_if(rows.begin(), rows.end(), unsound), rows.end());
    }
    return absl::OkStatus();
  }

  absl::Status DamagedRow(const std::string& table, const StoredRow& row) {
    const std::string what =
        absl::StrCat("record: table ", table, ", row (", row.key, "): its checksum differs");
    if (table == "runs" || table == "rounds" || table == "plans") {
      const std::string run = row.Text("run_id");
      if (run == options_.forget_run && !run.empty()) return absl::OkStatus();
      told_runs_.insert(run);
      Damaged(what, absl::StrCat(kFromCopy, ", or --forget-run ", run,
                                 " takes that run out so that the others go on"));
      return absl::OkStatus();
    }
    static const auto* const again = new std::map<std::string, std::string>{
        {"tasks", "the task is done again"},
        {"leases", "it is given up"},
        {"workers", "the worker registers anew"},
        {"evaluations", "it is done again if its weights are still kept"},
        {"deleted", "the files of that run stay, and may be removed"}};
    const auto found = again->find(table);
    if (found == again->end()) {
      Damaged(what, kFromCopy);
      return absl::OkStatus();
    }
    if (!options_.repair) {
      Damaged(what, absl::StrCat("--repair takes the row out: ", found->second));
      return absl::OkStatus();
    }
    DISTILLERY_RETURN_IF_ERROR(reader_->Drop(table, row.rowid));
    // Fencing tokens must go on rising, so the token stays.
    if (table == "leases") {
      DISTILLERY_RETURN_IF_ERROR(reader_->Put(
          table, {{"fencing_token", row.rowid},
                  {"ended_unix_millis", std::max<int64_t>(row.Number("granted_unix_millis"), 1)},
                  {"outcome", std::string(SpecOf(LeaseOutcome::kDamaged).name)}}));
    }
    Add("mended", what, absl::StrCat("the row is taken out: ", found->second));
    return absl::OkStatus();
  }

  absl::Status ForgetRun() {
    int64_t dropped = 0;
    for (auto& [table, rows] : rows_) {
      if (table == "leases") continue;  // for their tokens
      std::vector<StoredRow> all;
      // What cannot be read was told.
      (void)reader_->Read(table, &all);
      for (const StoredRow& row : all) {
        if (row.Text("run_id") != options_.forget_run) continue;
        DISTILLERY_RETURN_IF_ERROR(reader_->Drop(table, row.rowid));
        ++dropped;
      }
      rows.erase(std::remove_if(rows.begin(), rows.end(),
                                [&](const StoredRow& row) {
                                  return row.Text("run_id") == options_.forget_run;
                                }),
                 rows.end());
    }
    if (dropped == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--forget-run \"", options_.forget_run, "\": the record has no such run"));
    }
    Add("mended", absl::StrCat("record: run ", options_.forget_run),
        absl::StrCat("its ", dropped,
                     " rows are taken out; its files stay in weights/ and spool/"));
    return absl::OkStatus();
  }

  // Whether the file has that digest; a file that is missing and may be is not looked for.
  bool CheckFile(const std::string& name, const std::string& sha256, bool must_exist,
                 const std::string& remedy) {
    named_.insert(name);
    const std::string path = folder_ + "/" + name;
    if (!FileExists(path)) {
      if (!must_exist) return true;
      Damaged(absl::StrCat(name, " is missing"), remedy);
      return false;
    }
    ++report_.file_count;
    const absl::Status status = CheckFileSha256(path, sha256, &report_.byte_count);
    if (status.ok()) return true;
    Damaged(
        absl::StrCat(name, ": ",
                     absl::IsDataLoss(status) ? std::string("its SHA-256 differs from the record's")
                                              : std::string(status.message())),
        remedy);
    return false;
  }

  // What the coordinator would make of the rows at its start.
  void CheckLoading() {
    Record::Contents contents;
    for (const auto& [table, rows] : rows_) {
      for (const StoredRow& row : rows) {
        const absl::Status status = Record::AddRow(table, row.values, &contents);
        if (status.ok()) continue;
        Damaged(absl::StrCat("record: table ", table, ", row (", row.key,
                             "): ", std::string(status.message())),
                kFromCopy);
        told_runs_.insert(row.Text("run_id"));
      }
    }
    for (const RunEntry* const run : LoadRuns(contents).order) {
      const std::string& id = run->row.run_id;
      if (run->damage.empty() || told_runs_.count(id) > 0) continue;
      Damaged(
          absl::StrCat("record: run ", id, ": ", run->damage),
          absl::StrCat(kFromCopy, ", or --forget-run ", id, "; the other runs go on as they are"));
      damaged_runs_.insert(id);
    }
  }

  static std::string WeightsName(const std::string& run, int64_t round, const char* part = "") {
    return absl::StrFormat("weights/%s/%08d%s.safetensors", run, round, part);
  }

  void CheckRuns() {
    std::map<std::string, std::map<int64_t, const StoredRow*>> rounds;
    for (const StoredRow& row : rows_["rounds"]) {
      rounds[row.Text("run_id")][row.Number("round")] = &row;
    }
    for (const StoredRow& run : rows_["runs"]) {
      const std::string id = run.Text("run_id");
      const int64_t newest = run.Number("completed_rounds");
      // The file of the newest weights: another round's where the guard went back to it.
      const auto last_round = rounds[id].find(newest - 1);
      const int64_t back_to =
          last_round == rounds[id].end() ? 0 : last_round->second->Number("rolled_back_to");
      const int64_t newest_file = back_to > 0 ? back_to : newest;
      runs_[id] = &run;
      const bool ended = Ended(static_cast<RunState>(run.Number("state")));
      const std::string rebuilt =
          ended ? kFromCopy : "the coordinator rebuilds it at its start, if it can";
      const std::string w0 = run.Text("initial_weights_sha256");
      if (!w0.empty()) CheckFile(WeightsName(id, 0), w0, newest == 0, rebuilt);
      for (int64_t r = 0; r < newest; ++r) {
        const auto round = rounds[id].find(r);
        if (round == rounds[id].end()) {
          if (damaged_runs_.count(id) > 0) continue;  // told
          Damaged(absl::StrCat("record: table rounds, row (", id, ", ", r, ") is missing"),
                  absl::StrCat(kFromCopy, ", or --forget-run ", id));
          continue;
        }
        const bool last = r + 1 == newest_file;
        CheckFile(WeightsName(id, r + 1), round->second->Text("weights_sha256"), last,
                  last ? rebuilt : "nothing needs it any more: remove it");
        for (const auto& [column, part] : {std::pair("momentum_sha256", ".momentum"),
                                           std::pair("variance_sha256", ".variance")}) {
          const std::string sha256 = round->second->Text(column);
          const std::string name = WeightsName(id, r + 1, part);
          if (sha256.empty()) {
            named_.insert(name);
          } else {
            CheckFile(name, sha256, last && back_to == 0 && !ended,
                      last ? rebuilt : "nothing needs it any more: remove it");
          }
        }
      }
    }
  }

  void CheckTasks() {
    for (const StoredRow& task : rows_["tasks"]) {
      const auto run = runs_.find(task.Text("run_id"));
      const std::string file = task.Text("delta_file");
      if (run == runs_.end() || file.empty() || task.Number("done") == 0) continue;
      if (Ended(static_cast<RunState>(run->second->Number("state")))) continue;
      const int64_t age = run->second->Number("completed_rounds") - task.Number("round");
      // Deltas of the round before are kept to rebuild the weights from; late ones may count yet.
      constexpr int64_t kOldest = 2;
      if (age > kOldest) continue;
      CheckFile(file, task.Text("delta_sha256"), age == 0,
                age == 0 ? "its task is done again once the round would be averaged"
                         : "it is needed only to rebuild the newest weights");
    }
  }

  void CheckReferences() {
    for (const char* const table : {"tasks", "rounds", "evaluations", "plans"}) {
      for (const StoredRow& row : rows_[table]) {
        const std::string run = row.Text("run_id");
        if (runs_.count(run) > 0 || damaged_runs_.count(run) > 0) continue;
        Add("leftover",
            absl::StrCat("record: table ", table, ", row (", row.key,
                         ") is of a run that is not in the record"),
            "it does no harm");
      }
    }
    std::set<std::string> workers;
    for (const StoredRow& row : rows_["workers"]) workers.insert(row.Text("worker_id"));
    for (const StoredRow& row : rows_["leases"]) {
      if (row.Text("outcome") != SpecOf(LeaseOutcome::kActive).name ||
          workers.count(row.Text("worker_id")) > 0)
        continue;
      Add("leftover",
          absl::StrCat("record: table leases, row (", row.key,
                       ") is of a worker that is not in the record"),
          "it ends by its deadline");
    }
  }

  // Visits what is in `folder`. One that cannot be listed is a finding like others, so that those
  // and what was repaired are not lost for its sake.
  void Visit(const std::string& folder, const std::function<void(const fs::path&)>& look) {
    const absl::Status listed = ForEachIn(folder, look);
    if (listed.ok()) return;
    Damaged(std::string(listed.message()), "mend the folder or its disk, then check again");
  }

  // Files in uploads/ are named by what they must be.
  void CheckUploads() {
    Visit(folder_ + "/uploads", [this](const fs::path& path) {
      CheckFile("uploads/" + path.filename().string(), path.stem().string(), true,
                "remove it and submit the run again, or put it back from a copy");
    });
  }

  void FindLeftovers() {
    std::set<std::string> deleted;
    for (const StoredRow& row : rows_["deleted"]) deleted.insert(row.Text("run_id"));
    // Files are in these folders, and in a folder of each run.
    const std::function<void(const fs::path&)> look = [&](const fs::path& path) {
      std::error_code ignored;
      const fs::file_status status = fs::symlink_status(path, ignored);
      if (fs::is_directory(status)) Visit(path.string(), look);
      if (!fs::is_regular_file(fs::status(path, ignored))) return;
      const std::string name = fs::relative(path, folder_, ignored).string();
      if (named_.count(name) > 0) return;
      const std::string run = path.parent_path().filename().string();
      if (damaged_runs_.count(run) > 0) return;
      Add("leftover", absl::StrCat(name, " is named by nothing"),
          runs_.count(run) > 0 || deleted.count(run) > 0 || absl::StartsWith(name, "incoming/")
              ? "the coordinator removes it in time"
              : "it may be removed");
    };
    for (const char* const part : {"weights", "spool", "incoming"}) {
      Visit(folder_ + "/" + part, look);
    }
  }

  const std::string folder_;
  const StateCheckOptions options_;
  std::unique_ptr<RecordReader> reader_;
  StateReport report_;
  // Sound rows by table.
  std::map<std::string, std::vector<StoredRow>> rows_;
  std::map<std::string, const StoredRow*> runs_;
  // Runs of which a row is damaged: what else is missing of them follows from that.
  std::set<std::string> damaged_runs_;
  // Those that were named with what makes their loading fail.
  std::set<std::string> told_runs_;
  // Files that the record names, relative to the folder.
  std::set<std::string> named_;
};

}  // namespace

int64_t StateReport::Count(const std::string& kind) const {
  return std::count_if(findings.begin(), findings.end(),
                       [&](const StateFinding& finding) { return finding.kind == kind; });
}

absl::StatusOr<StateReport> CheckState(const std::string& folder,
                                       const StateCheckOptions& options) {
  if (!FileExists(folder + "/" + kRecord)) {
    return absl::NotFoundError(absl::StrCat(folder, " is no state folder: it has no ", kRecord));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const auto lock, FolderLock::Acquire(folder));
  return StateChecker(folder, options).Run();
}

}  // namespace distillery
