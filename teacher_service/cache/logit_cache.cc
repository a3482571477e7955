#include "teacher_service/cache/logit_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "teacher_service/cache/logit_cache_folder.h"

namespace distillery {

absl::StatusOr<std::unique_ptr<LogitCache>> LogitCache::Open(const Options& options) {
  if (options.max_bytes <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the soft-target cache needs a size above 0 bytes, got ", options.max_bytes));
  }
  DISTILLERY_RETURN_IF_ERROR(PrepareLogitFolder(options.folder));
  std::unique_ptr<LogitCache> cache(new LogitCache(options));
  cache->Scan();
  return cache;
}

std::shared_ptr<const CachedLogits> LogitCache::Find(const LogitKey& key, int64_t rows,
                                                     int64_t classes, StoredType type) {
  absl::StatusOr<std::shared_ptr<const CachedLogits>> logits = Read({key, rows, classes, type});
  MutexLock lock(mutex_);
  if (logits.ok()) {
    reading_fails_ = false;
    ++counts_.hits;
    return *std::move(logits);
  }
  ++counts_.misses;
  if (!absl::IsNotFound(logits.status()) && !std::exchange(reading_fails_, true)) {
    LogWarning("soft-target cache: {}", std::string(logits.status().message()));
  }
  return nullptr;
}

// NOT_FOUND also for a file that must not be served.
absl::StatusOr<std::shared_ptr<const CachedLogits>> LogitCache::Read(const LogitFileSpec& spec) {
  DISTILLERY_RETURN_IF_ERROR(spec.Validate());
  const std::string path = LogitFilePath(spec.key, spec.type);
  FileVersion checked;
  std::shared_ptr<const LogitChecksums> checksums;
  std::shared_ptr<const CachedLogits> logits;
  {
    MutexLock lock(mutex_);
    if (const LogitCacheIndex::Entry* const entry = index_.Find(path)) {
      checked = entry->checked;
      checksums = entry->checksums;
      logits = entry->logits.lock();
    }
  }
  absl::StatusOr<LogitFile> file = LogitFile::Open(FullPath(path));
  if (!file.ok()) {
    MutexLock lock(mutex_);
    if (absl::IsNotFound(file.status())) index_.Erase(path);
    return file.status();
  }
  const bool known = checksums != nullptr && file->version() == checked;
  absl::Status sound;
  if (known) {
    sound = file->CheckHeader(spec);
  } else {
    absl::StatusOr<std::shared_ptr<const LogitChecksums>> read = file->Check(spec);
    sound = read.status();
    if (read.ok()) checksums = *std::move(read);
  }
  if (!sound.ok()) {
    Reject(path, file->version(), sound);
    return absl::NotFoundError(sound.message());
  }
  if (!known || logits == nullptr) {
    DISTILLERY_ASSIGN_OR_RETURN(logits, file->Logits(spec, checksums));
  }
  absl::Time used;
  {
    MutexLock lock(mutex_);
    used = NextUse();
    index_.Put(path, {spec.file_bytes(), used, file->version(), logits, checksums});
    // Another process may have added the file. What cannot be removed is told to the next writer.
    Evict().IgnoreError();
  }
  file->Touch(used);
  return logits;
}

void LogitCache::Reject(const std::string& path, const FileVersion& version,
                        const absl::Status& reason) {
  const std::string full_path = FullPath(path);
  MutexLock lock(mutex_);
  struct stat info {};
  const bool there = stat(full_path.c_str(), &info) == 0;
  if (there && !(FileVersion::Of(info) == version)) return;
  index_.Erase(path);
  if (!there) return;  // another thread or process was faster
  ++counts_.corrupt;
  if (const absl::Status removed = RemoveFile(full_path); removed.ok()) {
    LogWarning("soft-target cache: removed a file: {}", std::string(reason.message()));
  } else if (!std::exchange(told_of_stuck_file_, true)) {
    LogWarning("soft-target cache: {}: {}", std::string(reason.message()),
               std::string(removed.message()));
  }
}

void LogitCache::Drop(const LogitFileSpec& spec, const CachedLogits& logits,
                      const absl::Status& reason) {
  Reject(LogitFilePath(spec.key, spec.type), logits.version(), reason);
}

bool LogitCache::Discard(const LogitFileSpec& spec) {
  const std::string path = LogitFilePath(spec.key, spec.type);
  struct stat info {};
  if (stat(FullPath(path).c_str(), &info) != 0) return true;
  const absl::Duration age = options_.clock->WallNow() - absl::TimeFromTimespec(info.st_mtim);
  // From the future: the clock was set back, and says nothing.
  if (age >= absl::ZeroDuration() && age < kDiscardInterval) return false;
  Reject(path, FileVersion::Of(info),
         absl::DataLossError(
             absl::StrCat("a client says that what it got of ", BaseName(path), " is damaged")));
  return true;
}

absl::StatusOr<std::shared_ptr<LogitCache::Writer>> LogitCache::StartWriting(const LogitKey& key,
                                                                             int64_t rows,
                                                                             int64_t classes,
                                                                             StoredType type) {
  LogitFileSpec spec{key, rows, classes, type};
  DISTILLERY_RETURN_IF_ERROR(spec.Validate());
  ScanIfDue();
  DISTILLERY_RETURN_IF_ERROR(Reserve(spec.file_bytes()));
  absl::StatusOr<std::unique_ptr<UnfinishedLogitFile>> file =
      UnfinishedLogitFile::Create(FullPath(LogitFilePath(key, type)), spec);
  if (!file.ok()) {
    Release(spec.file_bytes());
    WriteFailed(file.status());
    return file.status();
  }
  return std::make_shared<Writer>(this, std::move(spec), *std::move(file));
}

LogitCache::Stats LogitCache::stats() const {
  MutexLock lock(mutex_);
  Stats stats = counts_;
  stats.bytes = index_.bytes();
  stats.files = index_.count();
  return stats;
}

void LogitCache::ScanIfDue() {
  {
    MutexLock lock(mutex_);
    if (options_.clock->SteadyNow() < next_scan_) return;
  }
  Scan();
}

void LogitCache::Scan() {
  int64_t scan = 0;
  {
    MutexLock lock(mutex_);
    next_scan_ = options_.clock->SteadyNow() + options_.scan_interval;
    scan = index_.StartScan();
  }
  const std::vector<FoundLogitFile> found =
      ScanLogitFolder(options_.folder, options_.clock->WallNow());
  MutexLock lock(mutex_);
  index_.Merge(found, scan);
  for (const FoundLogitFile& file : found) last_use_ = std::max(last_use_, file.used);
  Evict().IgnoreError();  // what cannot be removed is told to the next writer
}

absl::Status LogitCache::Reserve(int64_t bytes) {
  MutexLock lock(mutex_);
  if (bytes > options_.max_bytes) {
    const std::string reason =
        absl::StrCat("a file of ", bytes, " bytes is larger than the cache of ", options_.max_bytes,
                     " bytes and is not cached; give the cache more room");
    if (!std::exchange(told_of_large_file_, true)) LogWarning("soft-target cache: {}", reason);
    return absl::ResourceExhaustedError(reason);
  }
  if (options_.clock->SteadyNow() < retry_at_) {
    return absl::UnavailableError("the soft-target cache could not be written a moment ago");
  }
  if (bytes > options_.max_bytes - reserved_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat("files being written take ", reserved_bytes_,
                                                     " of ", options_.max_bytes, " bytes"));
  }
  reserved_bytes_ += bytes;
  absl::Status evicted = Evict();
  if (!evicted.ok()) {
    reserved_bytes_ -= bytes;
    ++counts_.failed_writes;
    PauseWriting(evicted);
  }
  return evicted;
}

void LogitCache::Release(int64_t bytes) {
  MutexLock lock(mutex_);
  reserved_bytes_ -= bytes;
}

absl::Status LogitCache::Publish(const LogitFileSpec& spec, UnfinishedLogitFile* file) {
  absl::Time used;
  {
    MutexLock lock(mutex_);
    used = NextUse();
  }
  const absl::StatusOr<UnfinishedLogitFile::Completed> completed = file->Complete(used);
  if (!completed.ok()) {
    WriteFailed(completed.status());
    return completed.status();
  }
  const std::string path = LogitFilePath(spec.key, spec.type);
  {
    MutexLock lock(mutex_);
    // Under the lock, lest an eviction comes between the name and the index.
    DISTILLERY_FAILPOINT("teacher.cache.written");
    absl::Status renamed = file->Rename();
    if (renamed.ok()) {
      DISTILLERY_FAILPOINT("teacher.cache.renamed");
      reserved_bytes_ -= spec.file_bytes();
      index_.Put(path, {spec.file_bytes(), used, completed->version, {}, completed->checksums});
      if (std::exchange(writing_fails_, false)) {
        LogInfo("soft-target cache: {} can be written again", options_.folder);
      }
      return absl::OkStatus();
    }
    ++counts_.failed_writes;
    PauseWriting(renamed);
    return renamed;
  }
}

void LogitCache::WriteFailed(const absl::Status& reason) {
  MutexLock lock(mutex_);
  ++counts_.failed_writes;
  PauseWriting(reason);
}

absl::Status LogitCache::Evict() {
  while (index_.count() > 0 && index_.bytes() > options_.max_bytes - reserved_bytes_) {
    const std::string path = index_.Oldest();
    DISTILLERY_RETURN_IF_ERROR(RemoveFile(FullPath(path)));
    index_.Erase(path);
    ++counts_.evictions;
  }
  return absl::OkStatus();
}

void LogitCache::PauseWriting(const absl::Status& reason) {
  retry_at_ = options_.clock->SteadyNow() + options_.retry_interval;
  if (std::exchange(writing_fails_, true)) return;
  LogWarning("soft-target cache: {}; new logits are not cached until this is mended",
             std::string(reason.message()));
}

absl::Time LogitCache::NextUse() {
  last_use_ = std::max(options_.clock->WallNow(), last_use_ + absl::Nanoseconds(1));
  return last_use_;
}

}  // namespace distillery
