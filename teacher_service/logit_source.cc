#include "teacher_service/logit_source.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/half.h"
#include "common/base/logging.h"
#include "common/base/status_macros.h"
#include "common/data/numbers.h"
#include "common/data/pixels.h"
#include "common/soft_targets/finite.h"
#include "teacher_service/teachers/finite_rows.h"

namespace distillery {
namespace {

// Beyond so many entries of shards that nobody reads any more, they are swept out.
constexpr size_t kMaxOpen = 4096;

LogitFileSpec FileSpec(const Teacher& teacher, const Dataset& dataset, int64_t shard, int64_t rows,
                       const View& view) {
  LogitFileSpec spec;
  spec.key.teacher_digest = teacher.info().digest;
  spec.key.dataset_digest = dataset.digest();
  spec.key.shard = shard;
  spec.key.augmentation = view.augmentation.ToString();
  // Every view of an image that is not augmented is the same.
  if (!view.augmentation.identity()) {
    spec.key.seed = view.seed;
    spec.key.view = view.view;
  }
  spec.rows = rows;
  spec.classes = teacher.info().card.row_values();
  spec.type = teacher.info().half_logits ? StoredType::kFloat16 : StoredType::kFloat32;
  return spec;
}

}  // namespace

void ShardLogits::Get(int64_t row, std::shared_ptr<const std::atomic<bool>> cancelled, Done done) {
  const int64_t cut = row / cut_rows();
  LogitRows rows;
  Logits held;
  {
    MutexLock lock(source_->mutex_);
    if (cached_ != nullptr) {
      rows.first_row = row;
      rows.rows = range_.count - row;
      rows.half = cached_->type() == StoredType::kFloat16;
      rows.file = cached_;
    } else {
      const auto [entry, is_new] = cuts_.try_emplace(cut);
      if (entry->second.logits == nullptr) {
        if (!is_new) ++source_->shared_;
        entry->second.waiters.push_back({row, std::move(cancelled), std::move(done)});
        done = nullptr;
        if (!is_new) return;
      } else {
        ++source_->memory_hits_;
        source_->held_.splice(source_->held_.end(), source_->held_, entry->second.held);
        held = entry->second.logits;
      }
    }
  }
  if (done == nullptr) {
    Schedule(cut);
  } else {
    done(held == nullptr ? rows : Part(cut, std::move(held), row));
  }
}

void ShardLogits::Drop(const CachedLogits& file, const absl::Status& reason) {
  {
    MutexLock lock(source_->mutex_);
    if (cached_.get() == &file) cached_ = nullptr;
  }
  source_->cache_->Drop(file_, file, reason);
}

bool ShardLogits::in_cache() const {
  MutexLock lock(source_->mutex_);
  return cached_ != nullptr;
}

void ShardLogits::Schedule(int64_t cut) {
  const std::shared_ptr<ShardLogits> self = shared_from_this();
  CutWork work;
  work.teacher = teacher_;
  work.rows = RowsOfCut(cut);
  work.cancelled = [self, cut] { return self->Unwanted(cut); };
  work.run = [self, cut](const absl::Status& dropped) { self->Finish(cut, dropped); };
  source_->scheduler_->AddCut(std::move(work));
}

bool ShardLogits::Unwanted(int64_t cut) {
  MutexLock lock(source_->mutex_);
  for (const Waiter& waiter : cuts_[cut].waiters) {
    if (!waiter.cancelled->load()) return false;
  }
  return true;
}

void ShardLogits::Finish(int64_t cut, const absl::Status& dropped) {
  absl::StatusOr<Logits> logits = dropped.ok() ? Compute(cut) : absl::StatusOr<Logits>(dropped);
  // One that is not finite may be another time, and is what nobody needs.
  const bool keep =
      logits.ok() && AllFinite((*logits)->data(), static_cast<int64_t>((*logits)->size()));
  if (logits.ok()) Store(cut, **logits, keep);
  std::vector<Waiter> waiters;
  {
    MutexLock lock(source_->mutex_);
    Cut& entry = cuts_[cut];
    waiters = std::move(entry.waiters);
    entry.waiters.clear();
    if (keep && cached_ == nullptr) {
      entry.logits = *logits;
      source_->Hold(shared_from_this(), cut, entry);
    } else if (absl::IsCancelled(dropped)) {
      // A stream that came since all the others left is still to be served.
      for (auto waiter = waiters.begin(); waiter != waiters.end();) {
        if (waiter->cancelled->load()) {
          ++waiter;
          continue;
        }
        entry.waiters.push_back(std::move(*waiter));
        waiter = waiters.erase(waiter);
      }
      if (entry.waiters.empty()) cuts_.erase(cut);
    } else {
      cuts_.erase(cut);
    }
  }
  if (absl::IsCancelled(dropped)) {
    bool wanted = false;
    {
      MutexLock lock(source_->mutex_);
      const auto entry = cuts_.find(cut);
      wanted = entry != cuts_.end() && entry->second.logits == nullptr;
    }
    if (wanted) Schedule(cut);
  }
  for (const Waiter& waiter : waiters) {
    if (logits.ok()) {
      waiter.done(Part(cut, *logits, waiter.row));
    } else {
      waiter.done(logits.status());
    }
  }
}

absl::StatusOr<ShardLogits::Logits> ShardLogits::Compute(int64_t cut) const {
  const int64_t rows = RowsOfCut(cut);
  std::vector<int64_t> indexes(static_cast<size_t>(rows));
  std::iota(indexes.begin(), indexes.end(), range_.first + cut * cut_rows());
  auto logits = std::make_shared<std::vector<float>>(static_cast<size_t>(rows * row_values()));
  // Its pictures may be smaller than those of the data set.
  const std::vector<InputSpec>& taken = teacher_->info().card.samples.inputs;
  if (teacher_->takes_bytes() && dataset_->spec().is_picture_by_class()) {
    const auto pixels = static_cast<size_t>(rows * taken.front().elements());
    // Kept for the thread's next cut: fresh pages would cost more than the images.
    thread_local std::vector<uint8_t> bytes;
    if (bytes.size() < pixels) bytes.resize(pixels);
    DISTILLERY_RETURN_IF_ERROR(
        LoadPictures(*dataset_, indexes, view_, taken.front(), bytes.data()));
    DISTILLERY_RETURN_IF_ERROR(source_->scheduler_->ComputeBytes(
        *teacher_, bytes.data(), dataset_->pixel_max(), rows, logits->data(), Lane::kStream));
    return logits;
  }
  thread_local InputBuffer inputs;
  inputs.Resize(taken, rows);
  SampleNumbers numbers;
  numbers.inputs = inputs.columns();
  DISTILLERY_RETURN_IF_ERROR(LoadNumbers(*dataset_, indexes, view_, taken, numbers));
  DISTILLERY_RETURN_IF_ERROR(source_->scheduler_->Compute(*teacher_, inputs.inputs(), rows,
                                                          logits->data(), Lane::kStream));
  return logits;
}

void ShardLogits::Store(int64_t cut, const std::vector<float>& logits, bool finite) {
  std::shared_ptr<LogitCache::Writer> writer;
  {
    MutexLock lock(source_->mutex_);
    if (writer_ == nullptr || !stored_.insert(cut).second) return;
    writer = finite ? writer_ : std::exchange(writer_, nullptr);
  }
  if (!finite) return;
  absl::Status added;
  if (file_.type == StoredType::kFloat16) {
    std::string halves(logits.size() * 2, '\0');
    FloatsToHalves(logits.data(), static_cast<int64_t>(logits.size()), halves.data());
    added = writer->Add(cut * cut_rows(), halves);
  } else {
    added = writer->Add(cut * cut_rows(),
                        {reinterpret_cast<const char*>(logits.data()), logits.size() * 4});
  }
  {
    MutexLock lock(source_->mutex_);
    if (writer_ != writer) return;  // abandoned since
    if (!added.ok()) {
      writer_ = nullptr;  // the cache has logged why; the answers are the same without it
      return;
    }
    if (++added_ * cut_rows() < range_.count) return;
  }
  std::shared_ptr<const CachedLogits> cached =
      source_->cache_->Find(file_.key, file_.rows, file_.classes, file_.type);
  MutexLock lock(source_->mutex_);
  writer_ = nullptr;
  if (cached == nullptr) return;  // evicted at once: memory goes on serving
  cached_ = std::move(cached);
  source_->Release(*this);
}

absl::StatusOr<LogitRows> ShardLogits::Part(int64_t cut, Logits logits, int64_t row) const {
  LogitRows rows;
  const int64_t skipped = row - cut * cut_rows();
  DISTILLERY_RETURN_IF_ERROR(
      Annotate(CheckFiniteRows(teacher_->info(), logits->data() + skipped * row_values(),
                               RowsOfCut(cut) - skipped, row),
               absl::StrCat("shard ", file_.key.shard, " of ", dataset_->reference().name)));
  rows.first_row = row;
  rows.rows = RowsOfCut(cut) - skipped;
  rows.data = reinterpret_cast<const char*>(logits->data() + skipped * row_values());
  rows.owner = std::move(logits);
  return rows;
}

LogitSource::LogitSource(const Options& options, ComputeScheduler* scheduler, LogitCache* cache)
    : options_(options), scheduler_(scheduler), cache_(cache) {}

absl::StatusOr<std::shared_ptr<ShardLogits>> LogitSource::Open(
    std::shared_ptr<Teacher> teacher, std::shared_ptr<const Dataset> dataset, int64_t shard,
    const View& view, bool discard) {
  if (const absl::Status fits = CheckFits(teacher->info().card, *dataset); !fits.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("teacher ", teacher->info().model_name, ": ", fits.message()));
  }
  DISTILLERY_ASSIGN_OR_RETURN(const RowRange range, dataset->Shard(shard));
  const LogitFileSpec file = FileSpec(*teacher, *dataset, shard, range.count, view);
  std::shared_ptr<const CachedLogits> cached;
  if (cache_ != nullptr && discard) discard = cache_->Discard(file);
  if (cache_ != nullptr && !discard) {
    cached = cache_->Find(file.key, file.rows, file.classes, file.type);
  }
  std::shared_ptr<ShardLogits> shared;
  // Destroyed without the lock.
  std::shared_ptr<LogitCache::Writer> abandoned;
  bool store = false;
  {
    MutexLock lock(mutex_);
    if (open_.size() > kMaxOpen) {
      for (auto it = open_.begin(); it != open_.end();) {
        it = it->second.expired() ? open_.erase(it) : std::next(it);
      }
    }
    std::weak_ptr<ShardLogits>& entry = open_[file.key.ToString()];
    shared = entry.lock();
    if (shared == nullptr) {
      shared.reset(
          new ShardLogits(this, std::move(teacher), std::move(dataset), range, view, file));
      entry = shared;
    }
    shared->AssertMutexHeld();
    if (discard) {
      shared->cached_ = nullptr;
      abandoned = std::move(shared->writer_);
      Release(*shared);
    } else if (cached != nullptr && shared->cached_ == nullptr) {
      shared->cached_ = cached;
      Release(*shared);
    } else if (cached == nullptr && shared->readers_ == 0) {
      shared->cached_ = nullptr;  // the file was evicted since
    }
    ++shared->readers_;
    store = cache_ != nullptr && shared->cached_ == nullptr && shared->writer_ == nullptr;
  }
  if (store) StartStoring(shared);
  // What the caller holds tells us when it leaves.
  return std::shared_ptr<ShardLogits>(shared.get(),
                                      [this, shared](ShardLogits* /*same*/) { Leave(shared); });
}

void LogitSource::StartStoring(const std::shared_ptr<ShardLogits>& shard) {
  const LogitFileSpec& file = shard->file_;
  absl::StatusOr<std::shared_ptr<LogitCache::Writer>> writer =
      cache_->StartWriting(file.key, file.rows, file.classes, file.type);
  if (!writer.ok()) return;  // the cache has logged why; the answers are the same without it
  std::vector<std::pair<int64_t, Logits>> ready;
  {
    MutexLock lock(mutex_);
    shard->AssertMutexHeld();
    if (shard->writer_ != nullptr || shard->cached_ != nullptr) return;
    shard->writer_ = *std::move(writer);
    shard->stored_.clear();
    shard->added_ = 0;
    for (const auto& [cut, entry] : shard->cuts_) {
      if (entry.logits != nullptr) ready.emplace_back(cut, entry.logits);
    }
  }
  for (const auto& [cut, logits] : ready) shard->Store(cut, *logits, /*finite=*/true);
}

void LogitSource::Leave(const std::shared_ptr<ShardLogits>& shard) {
  std::shared_ptr<LogitCache::Writer> abandoned;
  MutexLock lock(mutex_);
  shard->AssertMutexHeld();
  // An unfinished file costs a descriptor: what was computed stays in memory, to be stored again.
  if (--shard->readers_ == 0) abandoned = std::move(shard->writer_);
}

void LogitSource::Hold(const std::shared_ptr<ShardLogits>& shard, int64_t cut, Cut& entry) {
  const auto bytes = static_cast<int64_t>(entry.logits->size() * sizeof(float));
  entry.held = held_.insert(held_.end(), {shard, cut, bytes});
  held_bytes_ += bytes;
  while (held_bytes_ > options_.memory_bytes && held_.size() > 1) {
    const Held& oldest = held_.front();
    oldest.shard->AssertMutexHeld();
    held_bytes_ -= oldest.bytes;
    oldest.shard->cuts_.erase(oldest.cut);
    held_.pop_front();
  }
}

void LogitSource::Release(ShardLogits& shard) {
  shard.AssertMutexHeld();
  for (auto it = shard.cuts_.begin(); it != shard.cuts_.end();) {
    if (it->second.logits == nullptr) {
      ++it;  // computing: Finish takes it away
      continue;
    }
    held_bytes_ -= it->second.held->bytes;
    held_.erase(it->second.held);
    it = shard.cuts_.erase(it);
  }
}

int64_t LogitSource::memory_bytes() const {
  MutexLock lock(mutex_);
  return held_bytes_;
}

int64_t LogitSource::memory_hit_count() const {
  MutexLock lock(mutex_);
  return memory_hits_;
}

int64_t LogitSource::shared_count() const {
  MutexLock lock(mutex_);
  return shared_;
}

}  // namespace distillery
