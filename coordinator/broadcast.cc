#include "coordinator/broadcast.h"

#include <sys/stat.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/status_macros.h"

namespace distillery {

void BroadcastFile::ReadTo(int64_t index) const {
  while (static_cast<int64_t>(chunks_.size()) <= index) {
    const absl::string_view data = Chunk(static_cast<int64_t>(chunks_.size()));
    chunks_.push_back(Crc32c(data));
    crc_ = Crc32c(data, crc_);
  }
}

uint32_t BroadcastFile::ChecksumOfChunk(int64_t index) const {
  MutexLock lock(mutex_);
  ReadTo(index);
  return chunks_[static_cast<size_t>(index)];
}

uint32_t BroadcastFile::Checksum() const {
  MutexLock lock(mutex_);
  ReadTo(chunk_count() - 1);
  return crc_;
}

absl::StatusOr<std::shared_ptr<const BroadcastFile>> Broadcasts::Open(const std::string& path) {
  MutexLock lock(mutex_);
  for (auto entry = open_.begin(); entry != open_.end();) {
    entry = entry->second.expired() ? open_.erase(entry) : std::next(entry);
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  // A file that was put in the place of a damaged one is another.
  std::weak_ptr<const BroadcastFile>& entry = open_[{path, info.st_ino}];
  if (auto file = entry.lock()) return file;
  DISTILLERY_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapped, MappedFile::Open(path));
  auto file = std::make_shared<const BroadcastFile>(std::move(mapped));
  entry = file;
  return file;
}

}  // namespace distillery
