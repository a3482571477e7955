#include "coordinator/state/record.h"

#include <algorithm>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace distillery {
namespace {

// Takes a row's values in the order of its columns.
class RowReader {
 public:
  explicit RowReader(const Row& row) : row_(row) {}
  RowReader& operator>>(std::string& value) {
    value = std::get<std::string>(row_[at_++]);
    return *this;
  }
  RowReader& operator>>(int64_t& value) {
    value = std::get<int64_t>(row_[at_++]);
    return *this;
  }
  RowReader& operator>>(double& value) {
    value = std::get<double>(row_[at_++]);
    return *this;
  }
  RowReader& operator>>(bool& value) {
    value = std::get<int64_t>(row_[at_++]) != 0;
    return *this;
  }
  template <typename Enum, typename = std::enable_if_t<std::is_enum_v<Enum>>>
  RowReader& operator>>(Enum& value) {
    value = static_cast<Enum>(std::get<int64_t>(row_[at_++]));
    return *this;
  }
  RowReader& operator>>(LeaseOutcome& outcome) {
    outcome = LeaseOutcomeNamed(std::get<std::string>(row_[at_++]));
    return *this;
  }
  RowReader& operator>>(TaskId& task) {
    return *this >> task.run_id >> task.kind >> task.round >> task.replica;
  }
  RowReader& operator>>(TrainMetrics& m) {
    VisitTrainMetrics([&](const char* /*name*/, auto figure, OfRound /*of*/, const char* /*tag*/) {
      *this >> m.*figure;
    });
    return *this;
  }

 private:
  const Row& row_;
  size_t at_ = 0;
};

// Appends a row's values in the order of its columns.
class RowWriter {
 public:
  RowWriter& operator<<(const std::string& value) { return Append(value); }
  RowWriter& operator<<(int64_t value) { return Append(value); }
  RowWriter& operator<<(double value) { return Append(value); }
  RowWriter& operator<<(bool value) { return Append(int64_t{value ? 1 : 0}); }
  template <typename Enum, typename = std::enable_if_t<std::is_enum_v<Enum>>>
  RowWriter& operator<<(Enum value) {
    return Append(static_cast<int64_t>(value));
  }
  RowWriter& operator<<(LeaseOutcome outcome) { return Append(std::string(SpecOf(outcome).name)); }
  RowWriter& operator<<(const TaskId& task) {
    return *this << task.run_id << task.kind << task.round << task.replica;
  }
  RowWriter& operator<<(const TrainMetrics& m) {
    VisitTrainMetrics([&](const char* /*name*/, auto figure, OfRound /*of*/, const char* /*tag*/) {
      *this << m.*figure;
    });
    return *this;
  }
  const Row& row() const { return row_; }

 private:
  RowWriter& Append(Value value) {
    row_.push_back(std::move(value));
    return *this;
  }
  Row row_;
};

RowReader& operator>>(RowReader& in, RunRow& r) {
  return in >> r.run_id >> r.number >> r.request_id >> r.spec_json >> r.state >> r.state_reason >>
         r.completed_rounds >> r.initial_weights_sha256 >> r.weights_sha256 >> r.buffer_names >>
         r.model_card >> r.teacher_digest >> r.dataset_digest >> r.numerics_fingerprint >>
         r.inexact >> r.lost_leases >> r.submitted_unix_seconds >> r.nondeterminism_alarms >>
         r.request_sha256;
}
RowWriter& operator<<(RowWriter& out, const RunRow& r) {
  return out << r.run_id << r.number << r.request_id << r.spec_json << r.state << r.state_reason
             << r.completed_rounds << r.initial_weights_sha256 << r.weights_sha256 << r.buffer_names
             << r.model_card << r.teacher_digest << r.dataset_digest << r.numerics_fingerprint
             << r.inexact << r.lost_leases << r.submitted_unix_seconds << r.nondeterminism_alarms
             << r.request_sha256;
}
RowReader& operator>>(RowReader& in, TaskRow& r) {
  return in >> r.task >> r.done >> r.request_id >> r.worker_id >> r.delta_file >> r.delta_sha256 >>
         r.metrics >> r.failures >> r.failed_workers >> r.counted >> r.losses;
}
RowWriter& operator<<(RowWriter& out, const TaskRow& r) {
  return out << r.task << r.done << r.request_id << r.worker_id << r.delta_file << r.delta_sha256
             << r.metrics << r.failures << r.failed_workers << r.counted << r.losses;
}
RowReader& operator>>(RowReader& in, LeaseRow& r) {
  return in >> r.lease.fencing_token >> r.lease.task >> r.lease.worker_id >> r.request_id >>
         r.granted_unix_millis >> r.ended_unix_millis >> r.outcome;
}
RowWriter& operator<<(RowWriter& out, const LeaseRow& r) {
  return out << r.lease.fencing_token << r.lease.task << r.lease.worker_id << r.request_id
             << r.granted_unix_millis << r.ended_unix_millis << r.outcome;
}
RowReader& operator>>(RowReader& in, RoundRow& r) {
  return in >> r.run_id >> r.round >> r.weights_sha256 >> r.metrics >> r.delta_norm >>
         r.delta_count >> r.late_delta_count >> r.rolled_back_to >> r.momentum_sha256 >>
         r.variance_sha256;
}
RowWriter& operator<<(RowWriter& out, const RoundRow& r) {
  return out << r.run_id << r.round << r.weights_sha256 << r.metrics << r.delta_norm
             << r.delta_count << r.late_delta_count << r.rolled_back_to << r.momentum_sha256
             << r.variance_sha256;
}
RowReader& operator>>(RowReader& in, WorkerRow& r) {
  return in >> r.worker_id >> r.request_id >> r.name >> r.numerics_fingerprint >> r.numerics >>
         r.registered_unix_seconds >> r.certificate >> r.memory_bytes;
}
RowWriter& operator<<(RowWriter& out, const WorkerRow& r) {
  return out << r.worker_id << r.request_id << r.name << r.numerics_fingerprint << r.numerics
             << r.registered_unix_seconds << r.certificate << r.memory_bytes;
}
RowReader& operator>>(RowReader& in, EvaluationRow& r) {
  const auto read = [&](const char* /*name*/, auto figure) { in >> r.metrics.*figure; };
  in >> r.run_id >> r.round;
  VisitMeasured(read);
  in >> r.details_json;
  VisitHeldOut(read);
  VisitOfKinds([&](const char* name, auto figure, auto /*count*/) { read(name, figure); });
  return in;
}
RowWriter& operator<<(RowWriter& out, const EvaluationRow& r) {
  const auto write = [&](const char* /*name*/, auto figure) { out << r.metrics.*figure; };
  out << r.run_id << r.round;
  VisitMeasured(write);
  out << r.details_json;
  VisitHeldOut(write);
  VisitOfKinds([&](const char* name, auto figure, auto /*count*/) { write(name, figure); });
  return out;
}

RowReader& operator>>(RowReader& in, PlanRow& r) { return in >> r.run_id >> r.shard_sizes; }
RowWriter& operator<<(RowWriter& out, const PlanRow& r) { return out << r.run_id << r.shard_sizes; }

RowReader& operator>>(RowReader& in, DeletedRow& r) { return in >> r.run_id; }
RowWriter& operator<<(RowWriter& out, const DeletedRow& r) { return out << r.run_id; }

// Appends ",NAME TYPE" for each figure that it is shown.
class ColumnList {
 public:
  template <typename Metrics, typename T, typename... More>
  void operator()(const char* name, T Metrics::* /*figure*/, More... /*more*/) const {
    absl::StrAppend(text_, ",", name, std::is_same_v<T, double> ? " REAL" : " INTEGER");
  }
  explicit ColumnList(std::string* text) : text_(text) {}

 private:
  std::string* text_;
};

std::string TrainColumns() {
  std::string columns;
  VisitTrainMetrics(ColumnList(&columns));
  return columns;
}

constexpr char kTaskColumns[] = "run_id TEXT,kind INTEGER,round INTEGER,replica INTEGER";

// The table of a kind of row; the first columns are its key.
struct TableShape {
  std::string name;
  std::string columns;
  int key_columns = 0;
};

template <typename T>
TableShape ShapeOf();

template <>
TableShape ShapeOf<RunRow>() {
  return {"runs",
          "run_id TEXT,number INTEGER,request_id TEXT,spec_json TEXT,state INTEGER,"
          "state_reason TEXT,completed_rounds INTEGER,initial_weights_sha256 TEXT,"
          "weights_sha256 TEXT,buffer_names TEXT,model_card TEXT,teacher_digest TEXT,"
          "dataset_digest TEXT,numerics_fingerprint TEXT,inexact INTEGER,lost_leases INTEGER,"
          "submitted_unix_seconds INTEGER,nondeterminism_alarms INTEGER,request_sha256 TEXT",
          1};
}
template <>
TableShape ShapeOf<TaskRow>() {
  return {"tasks",
          absl::StrCat(kTaskColumns,
                       ",done INTEGER,request_id TEXT,worker_id TEXT,delta_file TEXT,"
                       "delta_sha256 TEXT",
                       TrainColumns(),
                       ",failures INTEGER,failed_workers TEXT,counted INTEGER,losses INTEGER"),
          4};
}
template <>
TableShape ShapeOf<LeaseRow>() {
  return {"leases",
          absl::StrCat("fencing_token INTEGER,", kTaskColumns,
                       ",worker_id TEXT,request_id TEXT,"
                       "granted_unix_millis INTEGER,ended_unix_millis INTEGER,outcome TEXT"),
          1};
}
template <>
TableShape ShapeOf<RoundRow>() {
  return {"rounds",
          absl::StrCat("run_id TEXT,round INTEGER,weights_sha256 TEXT", TrainColumns(),
                       ",delta_norm REAL,delta_count INTEGER,late_delta_count INTEGER,"
                       "rolled_back_to INTEGER,momentum_sha256 TEXT,variance_sha256 TEXT"),
          2};
}
template <>
TableShape ShapeOf<WorkerRow>() {
  return {"workers",
          "worker_id TEXT,request_id TEXT,name TEXT,numerics_fingerprint TEXT,numerics TEXT,"
          "registered_unix_seconds INTEGER,certificate TEXT,memory_bytes INTEGER",
          1};
}
template <>
TableShape ShapeOf<EvaluationRow>() {
  std::string columns = "run_id TEXT,round INTEGER";
  VisitMeasured(ColumnList(&columns));
  absl::StrAppend(&columns, ",details TEXT");
  VisitHeldOut(ColumnList(&columns));
  VisitOfKinds(ColumnList(&columns));
  return {"evaluations", columns, 2};
}
template <>
TableShape ShapeOf<PlanRow>() {
  return {"plans", "run_id TEXT,shard_sizes TEXT", 1};
}

template <>
TableShape ShapeOf<DeletedRow>() {
  return {"deleted", "run_id TEXT", 1};
}

std::vector<std::string> Columns(const std::string& list) {
  std::vector<std::string> columns;
  size_t start = 0;
  while (start <= list.size()) {
    const size_t comma = std::min(list.find(',', start), list.size());
    columns.push_back(list.substr(start, comma - start));
    start = comma + 1;
  }
  return columns;
}

template <typename T>
std::vector<T> Parsed(const std::vector<Row>& rows) {
  std::vector<T> values;
  for (const Row& row : rows) {
    RowReader reader(row);
    reader >> values.emplace_back();
  }
  return values;
}

template <typename T>
absl::Status OpenAndLoad(Database* database, std::unique_ptr<Table>* table, std::vector<T>* rows) {
  const TableShape shape = ShapeOf<T>();
  DISTILLERY_ASSIGN_OR_RETURN(
      Table opened, Table::Open(database, shape.name, Columns(shape.columns), shape.key_columns));
  *table = std::make_unique<Table>(std::move(opened));
  DISTILLERY_ASSIGN_OR_RETURN(const std::vector<Row> loaded, (*table)->Load());
  *rows = Parsed<T>(loaded);
  return absl::OkStatus();
}

template <typename T>
absl::Status AddTo(const std::vector<std::pair<std::string, Value>>& values, std::vector<T>* rows) {
  Row row;
  for (const std::string& column : Columns(ShapeOf<T>().columns)) {
    const std::string name = column.substr(0, column.find(' '));
    const auto value = std::find_if(values.begin(), values.end(),
                                    [&](const auto& given) { return given.first == name; });
    row.push_back(EmptyValue(column));
    if (value == values.end()) continue;
    if (value->second.index() != row.back().index()) {
      return absl::DataLossError(absl::StrCat("column ", name, " holds another type"));
    }
    row.back() = value->second;
  }
  RowReader reader(row);
  reader >> rows->emplace_back();
  return absl::OkStatus();
}

template <typename T>
absl::Status PutRow(Table* table, const T& value) {
  RowWriter writer;
  writer << value;
  return table->Put(writer.row());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Record>> Record::Open(const std::string& path, Contents* contents) {
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(path));
  std::unique_ptr<Record> record(new Record(std::move(database)));
  Database* const db = record->database_.get();
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->runs_, &contents->runs));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->tasks_, &contents->tasks));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->leases_, &contents->leases));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->rounds_, &contents->rounds));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->workers_, &contents->workers));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->evaluations_, &contents->evaluations));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->plans_, &contents->plans));
  DISTILLERY_RETURN_IF_ERROR(OpenAndLoad(db, &record->deleted_, &contents->deleted));
  return record;
}

absl::Status Record::AddRow(const std::string& table,
                            const std::vector<std::pair<std::string, Value>>& values,
                            Contents* contents) {
  if (table == "runs") return AddTo(values, &contents->runs);
  if (table == "tasks") return AddTo(values, &contents->tasks);
  if (table == "leases") return AddTo(values, &contents->leases);
  if (table == "rounds") return AddTo(values, &contents->rounds);
  if (table == "workers") return AddTo(values, &contents->workers);
  if (table == "evaluations") return AddTo(values, &contents->evaluations);
  if (table == "plans") return AddTo(values, &contents->plans);
  if (table == "deleted") return AddTo(values, &contents->deleted);
  return absl::OkStatus();
}

absl::Status Record::Put(const RunRow& row) { return PutRow(runs_.get(), row); }
absl::Status Record::Put(const TaskRow& row) { return PutRow(tasks_.get(), row); }
absl::Status Record::Put(const LeaseRow& row) { return PutRow(leases_.get(), row); }
absl::Status Record::Put(const RoundRow& row) { return PutRow(rounds_.get(), row); }
absl::Status Record::Put(const WorkerRow& row) { return PutRow(workers_.get(), row); }
absl::Status Record::Put(const EvaluationRow& row) { return PutRow(evaluations_.get(), row); }
absl::Status Record::Put(const PlanRow& row) { return PutRow(plans_.get(), row); }

absl::StatusOr<std::vector<LeaseRow>> Record::LeasesOf(const std::string& run_id, int64_t after,
                                                       int64_t limit) {
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      leases_->Select("run_id = ? AND fencing_token > ?", {run_id, after}, limit));
  return Parsed<LeaseRow>(rows);
}

absl::StatusOr<TaskRow> Record::TaskOf(const TaskId& task) {
  DISTILLERY_ASSIGN_OR_RETURN(
      const std::vector<Row> rows,
      tasks_->Select("run_id = ? AND kind = ? AND round = ? AND replica = ?",
                     {task.run_id, static_cast<int64_t>(task.kind), task.round, task.replica}, 1));
  if (rows.empty()) return absl::NotFoundError(absl::StrCat("no result of ", task.ToString()));
  return Parsed<TaskRow>(rows).front();
}

absl::Status Record::DeleteRun(const std::string& run_id) {
  return Transaction([&]() -> absl::Status {
    for (Table* const table :
         {runs_.get(), tasks_.get(), rounds_.get(), evaluations_.get(), plans_.get()}) {
      DISTILLERY_RETURN_IF_ERROR(table->Erase("run_id", run_id));
    }
    DISTILLERY_RETURN_IF_ERROR(PutRow(deleted_.get(), DeletedRow{run_id}));
    return leases_->Erase("run_id", run_id,
                          "fencing_token < (SELECT MAX(fencing_token) FROM leases)");
  });
}

absl::Status Record::FilesAreGone(const std::string& run_id) {
  return deleted_->Erase("run_id", run_id);
}

absl::Status Record::ForgetWorkers(const std::vector<std::string>& worker_ids) {
  return Transaction([&]() -> absl::Status {
    for (const std::string& id : worker_ids) {
      DISTILLERY_RETURN_IF_ERROR(workers_->Erase("worker_id", id));
    }
    return absl::OkStatus();
  });
}

}  // namespace distillery
