#include "coordinator/broadcast.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace distillery {

absl::StatusOr<BroadcastFile::Checksums> BroadcastFile::Verify(const InputFile& file,
                                                               const std::string& sha256) {
  Checksums checksums;
  checksums.size = file.size();
  Sha256 digest;
  std::string chunk;
  for (int64_t at = 0; at < file.size(); at += kChunkBytes) {
    chunk.resize(static_cast<size_t>(std::min(kChunkBytes, file.size() - at)));
    DISTILLERY_RETURN_IF_ERROR(file.ReadAt(at, static_cast<int64_t>(chunk.size()), chunk.data()));
    digest.Update(chunk);
    checksums.chunks.push_back(Crc32c(chunk));
    checksums.whole = Crc32c(chunk, checksums.whole);
  }
  if (digest.HexDigest() == sha256) return checksums;
  return absl::DataLossError(absl::StrCat(file.name(), ": its SHA-256 differs from the record's"));
}

BroadcastFile::BroadcastFile(InputFile file, std::shared_ptr<const Checksums> checksums)
    : file_(std::move(file)), checksums_(std::move(checksums)), held_(checksums_->chunks.size()) {}

absl::StatusOr<std::shared_ptr<const BroadcastChunk>> BroadcastFile::Chunk(int64_t index) const {
  const auto place = static_cast<size_t>(index);
  {
    MutexLock lock(mutex_);
    if (auto held = held_[place].lock()) return held;
  }
  // Without the lock: a disk that is slow at one place holds nobody up at another. That two read
  // the same bytes does no harm.
  auto chunk = std::make_shared<BroadcastChunk>();
  const int64_t at = index * kChunkBytes;
  chunk->bytes.resize(static_cast<size_t>(std::min(kChunkBytes, size() - at)));
  absl::Status status =
      file_.ReadAt(at, static_cast<int64_t>(chunk->bytes.size()), chunk->bytes.data());
  if (status.ok()) {
    chunk->crc32c = Crc32c(chunk->bytes);
    if (chunk->crc32c != checksums_->chunks[place]) {
      status = absl::DataLossError(absl::StrCat(file_.name(), ": the megabyte at ", at,
                                                " is not what it was when it was verified"));
    }
  }
  if (absl::IsDataLoss(status)) damaged_ = true;
  if (!status.ok()) return status;
  MutexLock lock(mutex_);
  held_[place] = chunk;
  return chunk;
}

absl::Status BroadcastFile::ReadAt(int64_t offset, int64_t bytes, char* output) const {
  while (bytes > 0) {
    DISTILLERY_ASSIGN_OR_RETURN(const auto chunk, Chunk(offset / kChunkBytes));
    {
      MutexLock lock(mutex_);
      last_read_ = chunk;
    }
    const int64_t skipped = offset % kChunkBytes;
    const int64_t count = std::min(bytes, static_cast<int64_t>(chunk->bytes.size()) - skipped);
    std::memcpy(output, chunk->bytes.data() + skipped, static_cast<size_t>(count));
    output += count;
    offset += count;
    bytes -= count;
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorSource> TensorsOf(std::shared_ptr<const BroadcastFile> file) {
  const int64_t size = file->size();
  return TensorSource::Open(size,
                            [file = std::move(file)](int64_t offset, int64_t bytes, char* output) {
                              return file->ReadAt(offset, bytes, output);
                            });
}

std::shared_ptr<Broadcasts::Entry> Broadcasts::Find(Key key) {
  // Some hundred bytes each, and four for each megabyte of the file.
  constexpr size_t kMostRemembered = 256;
  MutexLock lock(mutex_);
  if (entries_.size() >= kMostRemembered && entries_.count(key) == 0) {
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      // What nobody opens or sends now is verified anew when somebody does.
      bool used = entry->second.use_count() > 1;
      if (!used) {
        MutexLock entry_lock(entry->second->mutex);
        used = !entry->second->file.expired();
      }
      entry = used ? std::next(entry) : entries_.erase(entry);
    }
  }
  std::shared_ptr<Entry>& entry = entries_[std::move(key)];
  if (entry == nullptr) entry = std::make_shared<Entry>();
  return entry;
}

absl::StatusOr<std::shared_ptr<const BroadcastFile>> Broadcasts::Open(const std::string& path,
                                                                      const std::string& sha256) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  const std::shared_ptr<Entry> entry = Find({path, info.st_ino, sha256});
  MutexLock lock(entry->mutex);
  auto held = entry->file.lock();
  if (held != nullptr && !held->damaged()) return held;
  DISTILLERY_ASSIGN_OR_RETURN(InputFile file, InputFile::Open(path));
  // Bytes that were damaged may have been put back in the same file.
  const bool verified =
      held == nullptr && entry->checksums != nullptr && entry->checksums->size == file.size();
  if (!verified) {
    entry->checksums = nullptr;
    DISTILLERY_ASSIGN_OR_RETURN(BroadcastFile::Checksums checksums,
                                BroadcastFile::Verify(file, sha256));
    entry->checksums = std::make_shared<const BroadcastFile::Checksums>(std::move(checksums));
  }
  auto opened = std::make_shared<const BroadcastFile>(std::move(file), entry->checksums);
  entry->file = opened;
  return opened;
}

}  // namespace distillery
