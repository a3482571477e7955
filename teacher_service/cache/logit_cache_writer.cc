#include <iterator>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/status_macros.h"
#include "teacher_service/cache/logit_cache.h"

namespace distillery {

LogitCache::Writer::~Writer() {
  file_.reset();  // its room is free before others may count on it
  MutexLock lock(mutex_);
  if (!published_) cache_->Release(spec_.file_bytes());
}

absl::Status LogitCache::Writer::Claim(int64_t first_row, int64_t count) {
  if (first_row < 0 || count <= 0 || first_row > spec_.rows - count) {
    return absl::InvalidArgumentError(absl::StrCat(
        count, " rows from row ", first_row, " on are not in a shard of ", spec_.rows, " rows"));
  }
  const auto next = claimed_.upper_bound(first_row);
  if ((next != claimed_.end() && next->first < first_row + count) ||
      (next != claimed_.begin() && std::prev(next)->second > first_row)) {
    return absl::InvalidArgumentError(absl::StrCat("some of the rows ", first_row, " to ",
                                                   first_row + count - 1, " were added before"));
  }
  claimed_.emplace(first_row, first_row + count);
  return absl::OkStatus();
}

absl::Status LogitCache::Writer::Add(int64_t first_row, absl::string_view bytes) {
  const auto row_bytes = static_cast<size_t>(spec_.row_bytes());
  if (bytes.size() % row_bytes != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(bytes.size(), " bytes are no whole rows of ", row_bytes, " bytes"));
  }
  const auto count = static_cast<int64_t>(bytes.size() / row_bytes);
  {
    MutexLock lock(mutex_);
    if (!status_.ok()) return status_;
    DISTILLERY_RETURN_IF_ERROR(Claim(first_row, count));
  }
  absl::Status written = file_->Write(first_row, bytes);
  {
    MutexLock lock(mutex_);
    if (!status_.ok()) return status_;
    status_ = written;
    if (written.ok()) written_rows_ += count;
    if (written.ok() && written_rows_ < spec_.rows) {
      DISTILLERY_FAILPOINT("teacher.cache.rows");
      return absl::OkStatus();
    }
  }
  if (!written.ok()) {
    cache_->WriteFailed(written);
    return written;
  }
  // All rows are written, so no other thread is at the file.
  absl::Status published = cache_->Publish(spec_, file_.get());
  MutexLock lock(mutex_);
  status_ = published;
  published_ = published.ok();
  return published;
}

}  // namespace distillery
