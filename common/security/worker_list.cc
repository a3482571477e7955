#include "common/security/worker_list.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "common/base/text_file.h"
#include "common/security/role.h"

namespace distillery {
namespace {

constexpr int64_t kMaxFileBytes = 16 << 20;
constexpr absl::Duration kPeriod = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::set<std::string>> ParseWorkerList(const std::string& text) {
  std::set<std::string> workers;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    DISTILLERY_RETURN_IF_ERROR(CheckName(absl::StrCat("line ", number), line, kMaxIdentityName));
    workers.emplace(line);
  }
  return workers;
}

absl::StatusOr<std::unique_ptr<WorkerList>> WorkerList::Open(const std::string& path,
                                                             Clock* clock) {
  std::unique_ptr<WorkerList> list(new WorkerList(path, clock));
  MutexLock lock(list->mutex_);
  list->version_ = VersionOf(path);
  list->looked_at_ = clock->SteadyNow();
  DISTILLERY_ASSIGN_OR_RETURN(list->workers_, list->Read());
  return list;
}

absl::StatusOr<std::set<std::string>> WorkerList::Read() const {
  DISTILLERY_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path_, kMaxFileBytes));
  absl::StatusOr<std::set<std::string>> workers = ParseWorkerList(text);
  if (!workers.ok()) return Annotate(workers.status(), path_);
  return workers;
}

void WorkerList::Reload() {
  const absl::Duration now = clock_->SteadyNow();
  if (now - looked_at_ < kPeriod) return;
  looked_at_ = now;
  const std::optional<FileVersion> version = VersionOf(path_);
  if (version == version_) return;
  version_ = version;
  absl::StatusOr<std::set<std::string>> workers = Read();
  if (workers.ok()) {
    workers_ = *std::move(workers);
    LogInfo("{} allows {} workers now", path_, workers_.size());
  } else {
    LogWarning("{}; the list of allowed workers stays as it was",
               std::string(workers.status().message()));
  }
}

absl::Status WorkerList::Check(const std::string& worker) {
  MutexLock lock(mutex_);
  Reload();
  if (workers_.count(worker) > 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("worker \"", worker, "\" is not on this server's list of workers: add the line ",
                   worker, " to the file that its flag --allowed-workers names"));
}

}  // namespace distillery
