// The soft-target cache on disk: raw logits, one file per shard and view.
//
// All of it is safe to lose: anyone may delete any of its files at any time, and a file that is
// torn, damaged or foreign is found by its checksums, removed, and reported as not there. What is
// damaged later is found when it is read: each read checks the blocks that it takes. A reader keeps
// what it opened, whatever happens to the file's name. Several processes may share a folder. The
// files used longest ago go first when the size limit is reached; the order outlasts a restart (it
// is kept in the files' access times).
//
// When the disk is full or a write fails, this is logged once, and the cache stops taking new files
// for a while; what it holds is still served.
//
// Threads: safe for all. Find reads a whole file when this process meets it for the first time;
// Open, and StartWriting about once a minute, list the folder. Only renames and unlinks are done
// under the lock.
//
// In memory: the checksums of files that were read or written, 1/16,000 of the size limit.
//
// Not promised: where processes share a folder, each one knows of the others' new files only from
// its last listing, so that together they may pass the limit for a minute.
//
//   auto cache = *LogitCache::Open({.folder = "/var/cache/distillery", .max_bytes = 10 << 30});
//   if (auto logits = cache->Find(key, rows, classes, type)) return logits->Read(0, rows, output);
//   auto writer = cache->StartWriting(key, rows, classes, type);
//   if (writer.ok()) (*writer)->Add(0, bytes).IgnoreError();
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "teacher_service/cache/logit_cache_file.h"
#include "teacher_service/cache/logit_cache_index.h"
#include "teacher_service/cache/logit_key.h"
#include "teacher_service/cache/unfinished_logit_file.h"

namespace distillery {

class LogitCache {
 public:
  struct Options {
    std::string folder;
    // The limit of all files together, those being written included.
    int64_t max_bytes = 0;
    // How long no file is taken after a write has failed.
    absl::Duration retry_interval = absl::Seconds(10);
    // The shortest time between two listings of the folder.
    absl::Duration scan_interval = absl::Minutes(1);
    Clock* clock = Clock::Real();
  };
  struct Stats {
    int64_t hits = 0;
    int64_t misses = 0;
    // The finished files, as far as this process knows.
    int64_t bytes = 0;
    int64_t files = 0;
    // Files removed for the size limit.
    int64_t evictions = 0;
    // Files removed because they were damaged, cut short or not what their name says.
    int64_t corrupt = 0;
    // Writers that could not go on because of the disk.
    int64_t failed_writes = 0;
  };
  class Writer;

  // Makes the folder if there is none, and removes what is above the limit. PERMISSION_DENIED if
  // the folder cannot be written to; INVALID_ARGUMENT unless max_bytes > 0.
  static absl::StatusOr<std::unique_ptr<LogitCache>> Open(const Options& options);

  // nullptr if there are none, or none that can be read. REQUIRES: rows > 0, classes > 0.
  std::shared_ptr<const CachedLogits> Find(const LogitKey& key, int64_t rows, int64_t classes,
                                           StoredType type);

  // Readers find the file once all rows were added. The cache must outlive the writer. An error
  // means that these logits are not cached, and has been logged if it is worth it:
  // RESOURCE_EXHAUSTED when the file, or all files being written, would pass max_bytes, or the disk
  // is full; UNAVAILABLE when the disk cannot be written, or could not be a moment ago;
  // INVALID_ARGUMENT for a bad shape.
  absl::StatusOr<std::shared_ptr<Writer>> StartWriting(const LogitKey& key, int64_t rows,
                                                       int64_t classes, StoredType type);

  // Removes the file that `logits` were read from, since a read said `reason`; Find then does not
  // find it. Others may go on reading what they have.
  void Drop(const LogitFileSpec& spec, const CachedLogits& logits, const absl::Status& reason);
  // Removes the file, if there is one, whatever is in it: somebody has reported it as damaged.
  // False: it stays, since it was written less than a minute ago. So a client that reports without
  // end costs the others one computation a minute; what is damaged on disk is found at each read
  // anyway.
  bool Discard(const LogitFileSpec& spec);

  Stats stats() const;

 private:
  static constexpr absl::Duration kDiscardInterval = absl::Minutes(1);
  explicit LogitCache(const Options& options) : options_(options) {}
  std::string FullPath(const std::string& path) const { return options_.folder + "/" + path; }

  absl::StatusOr<std::shared_ptr<const CachedLogits>> Read(const LogitFileSpec& spec);
  // Removes a file that must not be served, unless another has taken its name.
  void Reject(const std::string& path, const FileVersion& version, const absl::Status& reason);
  void ScanIfDue();
  void Scan();
  // Takes `bytes` of the limit for a writer.
  absl::Status Reserve(int64_t bytes);
  void Release(int64_t bytes);
  // Completes and renames; the writer's reservation becomes the file's.
  absl::Status Publish(const LogitFileSpec& spec, UnfinishedLogitFile* file);
  void WriteFailed(const absl::Status& reason);

  // Removes the files used longest ago until the limit holds.
  absl::Status Evict() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PauseWriting(const absl::Status& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The time of a use: now, but later than each use before.
  absl::Time NextUse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  LogitCacheIndex index_ ABSL_GUARDED_BY(mutex_);
  // Bytes of files that are being written.
  int64_t reserved_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_use_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // On the steady clock.
  absl::Duration next_scan_ ABSL_GUARDED_BY(mutex_);
  absl::Duration retry_at_ ABSL_GUARDED_BY(mutex_);
  // From a failed write to the next file that is published.
  bool writing_fails_ ABSL_GUARDED_BY(mutex_) = false;
  // From a file that cannot be opened to the next hit.
  bool reading_fails_ ABSL_GUARDED_BY(mutex_) = false;
  bool told_of_large_file_ ABSL_GUARDED_BY(mutex_) = false;
  // A damaged file that cannot be removed either.
  bool told_of_stuck_file_ ABSL_GUARDED_BY(mutex_) = false;
  // Without bytes and files, which the index knows.
  Stats counts_ ABSL_GUARDED_BY(mutex_);
};

// Collects the logits of one shard on disk and publishes them when they are complete.
//
// Threads: safe for all. The thread that adds the last rows reads the file once and renames it.
// Destroyed before it is complete, it leaves nothing behind.
class LogitCache::Writer {
 public:
  // What LogitCache::StartWriting made; `file` has spec.file_bytes() reserved in the cache.
  Writer(LogitCache* cache, LogitFileSpec spec, std::unique_ptr<UnfinishedLogitFile> file)
      : cache_(cache), spec_(std::move(spec)), file_(std::move(file)) {}
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Adds whole rows, in the stored type, from `first_row` on. INVALID_ARGUMENT, with nothing
  // changed: part of a row, rows beyond the last, rows that were added before. RESOURCE_EXHAUSTED
  // or UNAVAILABLE: the disk refused; the writer is of no more use, and drops its room when
  // destroyed.
  absl::Status Add(int64_t first_row, absl::string_view bytes);

 private:
  // Marks rows as added, or says why they cannot be.
  absl::Status Claim(int64_t first_row, int64_t count) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  LogitCache* const cache_;
  const LogitFileSpec spec_;
  // Until the destructor, the same.
  std::unique_ptr<UnfinishedLogitFile> file_;
  Mutex mutex_;
  // Claimed rows: first -> one after the last.
  std::map<int64_t, int64_t> claimed_ ABSL_GUARDED_BY(mutex_);
  int64_t written_rows_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool published_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace distillery
