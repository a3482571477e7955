#include "coordinator/offline/state_export.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/run/task.h"
#include "coordinator/state/file_check.h"
#include "coordinator/state/record.h"
#include "coordinator/state/record_reader.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

using Json = nlohmann::ordered_json;

std::string StateName(int64_t state) {
  const absl::string_view name = RunStateName(static_cast<RunState>(state));
  return name.empty() ? absl::StrCat(state) : std::string(name);
}

// Text that holds JSON comes out as what it holds.
bool IsJson(const std::string& column) {
  return column == "spec_json" || column == "buffer_names" || column == "model_card" ||
         column == "details";
}

Json ToJson(const std::string& table, const std::string& column, const Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    if (column == "kind") return std::string(TaskKindName(static_cast<TaskKind>(*number)));
    if (table == "runs" && column == "state") return StateName(*number);
    return *number;
  }
  if (const auto* real = std::get_if<double>(&value)) return *real;  // null if it is no number
  const auto& text = std::get<std::string>(value);
  if (!IsJson(column)) return text;
  const Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? Json(text) : parsed;
}

// With what stands in such a column one could act in a worker's place; it is nothing for others to
// see.
bool Acts(const std::string& table, const std::string& column, bool active_lease) {
  if (column == "request_id") return table == "leases" || table == "workers";
  return active_lease && column == "fencing_token";
}

absl::StatusOr<std::unique_ptr<RecordReader>> OpenRecord(const std::string& folder) {
  const std::string path = folder + "/record.sqlite3";
  if (!FileExists(path)) {
    return absl::NotFoundError(
        absl::StrCat(folder, " is no state folder: it has no record.sqlite3"));
  }
  return RecordReader::Open(path, RecordReader::Access::kRead);
}

}  // namespace

absl::StatusOr<StateExport> ExportState(const std::string& folder) {
  DISTILLERY_ASSIGN_OR_RETURN(const auto reader, OpenRecord(folder));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<std::string> tables, reader->Tables());
  StateExport result;
  Json all = Json::object();
  Json damaged = Json::array();
  for (const std::string& table : tables) {
    std::vector<StoredRow> rows;
    if (const absl::Status status = reader->Read(table, &rows); !status.ok()) {
      result.left_out.push_back(absl::StrCat("rest of ", std::string(status.message())));
      damaged.push_back({{"table", table}, {"error", std::string(status.message())}});
    }
    Json list = Json::array();
    for (const StoredRow& row : rows) {
      const bool active = table == "leases" && row.Number("ended_unix_millis") == 0;
      if (!row.sound) {
        result.left_out.push_back(absl::StrCat("table ", table, ", row (", row.key,
                                               "): its checksum differs, the row is damaged"));
        damaged.push_back({{"table", table}, {"row", row.key}});
        continue;
      }
      Json object = Json::object();
      for (const auto& [column, value] : row.values) {
        if (Acts(table, column, active)) continue;
        object[column == "spec_json" ? "spec" : column] = ToJson(table, column, value);
      }
      list.push_back(std::move(object));
    }
    all[table] = std::move(list);
  }
  all["damaged"] = std::move(damaged);
  result.json = all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return result;
}

absl::StatusOr<ExportedWeights> ExportWeights(const std::string& folder, const std::string& run_id,
                                              const std::string& output) {
  constexpr int64_t kLargestModel = int64_t{64} << 30;
  DISTILLERY_RETURN_IF_ERROR(CheckName("--run", run_id, 128));
  DISTILLERY_ASSIGN_OR_RETURN(const auto reader, OpenRecord(folder));
  // By round, the last the newest. Rows that cannot be read are as good as not there.
  std::map<int64_t, std::string> digests;
  int64_t newest = -1;
  // The file of the newest weights, where the guard went back to another round's.
  std::map<int64_t, int64_t> rolled_back_to;
  bool known = false;
  for (const char* const table : {"runs", "rounds"}) {
    std::vector<StoredRow> rows;
    (void)reader->Read(table, &rows);
    for (const StoredRow& row : rows) {
      if (row.Text("run_id") != run_id) continue;
      known = true;
      if (!row.sound) continue;
      if (table == std::string("rounds")) {
        const int64_t round = row.Number("round") + 1;
        rolled_back_to[round] = row.Number("rolled_back_to");
        // Where it went back, the run's row names the digest.
        if (round != newest) digests[round] = row.Text("weights_sha256");
      } else {
        newest = row.Number("completed_rounds");
        digests[newest] = row.Text("weights_sha256");
        digests[0] = row.Text("initial_weights_sha256");
      }
    }
  }
  if (!known) {
    return absl::NotFoundError(
        absl::StrCat("run \"", run_id, "\" is not in the record of ", folder));
  }
  ExportedWeights result;
  bool any = false;
  for (auto digest = digests.rbegin(); digest != digests.rend(); ++digest) {
    const auto& [round, sha256] = *digest;
    if (sha256.empty()) continue;
    any = true;
    const int64_t back_to = round == newest ? rolled_back_to[round] : 0;
    const std::string path = absl::StrFormat("%s/weights/%s/%08d.safetensors", folder, run_id,
                                             back_to > 0 ? back_to : round);
    if (!CheckFileSha256(path, sha256).ok()) {
      result.skipped_rounds.push_back(round);
      continue;
    }
    DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kLargestModel));
    DISTILLERY_RETURN_IF_ERROR(WriteFileDurably(output, bytes));
    result.round = round;
    result.sha256 = sha256;
    return result;
  }
  if (!any) return absl::NotFoundError(absl::StrCat("run ", run_id, " has no weights yet"));
  return absl::DataLossError(
      absl::StrCat("run ", run_id, ": no weights file that is still kept is as the record says"));
}

}  // namespace distillery
