#include "coordinator/weights_shelf.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/status_macros.h"
#include "coordinator/run_course.h"
#include "coordinator/upload_size.h"

namespace distillery {

absl::StatusOr<WeightsFile> WeightsShelf::Open(const std::string& run_id, int64_t round) {
  std::string path;
  absl::StatusOr<WeightsFile> found = ledger_.Write(
      [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ledger_.mutex()) -> absl::StatusOr<WeightsFile> {
        DISTILLERY_ASSIGN_OR_RETURN(RunEntry * run, ledger_.FindRun(run_id));
        if (run->row.weights_sha256.empty()) {
          return absl::FailedPreconditionError(absl::StrCat("run ", run_id, " has no weights yet"));
        }
        if (round == -1) round = run->row.completed_rounds;
        if (round < 0 || round > run->row.completed_rounds) {
          return absl::FailedPreconditionError(absl::StrCat("run ", run_id, ": round ", round,
                                                            " has not begun; the newest is ",
                                                            run->row.completed_rounds));
        }
        if (!run->damage.empty() && !run->RoundsWhole()) {
          return absl::DataLossError(
              absl::StrCat("run ", run_id, " is damaged: ", run->damage,
                           "; `coordinator state export` may have its weights"));
        }
        WeightsFile weights;
        weights.run_id = run_id;
        weights.round = round;
        weights.sha256 = weights.weights_sha256 = run->WeightsSha256(round);
        weights.buffer_names = run->BufferNames();
        weights.model_card = run->row.model_card;
        path = ledger_.folder->Weights(run_id, run->FileRound(round));
        return weights;
      });
  DISTILLERY_ASSIGN_OR_RETURN(WeightsFile weights, std::move(found));
  // Without the mutex: whoever opens it first reads the whole file.
  absl::StatusOr<std::shared_ptr<const BroadcastFile>> file =
      broadcasts_.Open(path, weights.weights_sha256);
  if (!file.ok()) return NoteUnreadable(weights, file.status());
  weights.file = *std::move(file);
  return weights;
}

absl::StatusOr<WeightsLayout> WeightsShelf::LayoutOf(const std::string& run_id) {
  DISTILLERY_ASSIGN_OR_RETURN(const WeightsFile weights, Open(run_id, -1));
  const auto tensors = TensorsOf(weights.file);
  if (!tensors.ok()) return NoteUnreadable(weights, tensors.status());
  return tensors->layout();
}

absl::StatusOr<WeightsFile> WeightsShelf::OpenFloat16(const std::string& run_id, int64_t round) {
  DISTILLERY_ASSIGN_OR_RETURN(WeightsFile weights, Open(run_id, round));
  const std::string path =
      ledger_.folder->Float16Weights(run_id, weights.round, weights.weights_sha256);
  for (bool again = false;; again = true) {
    const auto tensors = TensorsOf(weights.file);
    if (!tensors.ok()) return NoteUnreadable(weights, tensors.status());
    absl::StatusOr<std::string> sha256 =
        encoded_.Make(*tensors, weights.buffer_names, path, ledger_.folder->Incoming());
    if (!sha256.ok()) return NoteUnreadable(weights, ledger_.disk.Note(sha256.status()));
    auto file = broadcasts_.Open(path, *sha256);
    const bool damaged = absl::IsDataLoss(file.status()) || absl::IsNotFound(file.status());
    if (damaged && !again) {
      encoded_.Forget(path);
      continue;
    }
    if (!file.ok()) return file.status();
    weights.sha256 = *std::move(sha256);
    weights.file = *std::move(file);
    return weights;
  }
}

absl::Status WeightsShelf::NoteUnreadable(const WeightsFile& weights, const absl::Status& status) {
  (void)ledger_.disk.Note(status);
  if (weights.run_id.empty()) return status;
  const bool missing = absl::IsNotFound(status);
  if (!missing && !absl::IsDataLoss(status)) return status;
  const std::string what =
      absl::StrCat("run ", weights.run_id, ": weights of round ", weights.round);
  if (weights.sha256 != weights.weights_sha256) {
    return absl::UnavailableError(absl::StrCat(what, " are being encoded anew"));
  }
  MutexLock lock(ledger_.mutex());
  const auto found = ledger_.runs.find(weights.run_id);
  if (found == ledger_.runs.end()) return status;
  RunEntry& run = *found->second;
  const bool newest =
      weights.round == run.row.completed_rounds && weights.weights_sha256 == run.row.weights_sha256;
  if (newest && !Ended(run.row.state) && run.damage.empty()) {
    // A run that was damaged when it paused waits for a person.
    if (run.row.state == RunState::kPaused && run.damaged && !run.averaging) {
      return absl::DataLossError(absl::StrCat(what, " are damaged: ", run.row.state_reason));
    }
    QueueRebuild(ledger_, run);
    return absl::UnavailableError(absl::StrCat(what, " are lost and being rebuilt"));
  }
  if (missing) return absl::NotFoundError(absl::StrCat(what, " are no longer kept"));
  return absl::DataLossError(
      absl::StrCat(what,
                   " are damaged: their SHA-256 differs from the record's; put the file back "
                   "from a copy of the state folder"));
}

absl::StatusOr<WeightsFile> WeightsShelf::OpenUploaded(const std::string& sha256) {
  DISTILLERY_RETURN_IF_ERROR(CheckName("uploaded_sha256", sha256, 64));
  absl::StatusOr<std::shared_ptr<const BroadcastFile>> file =
      broadcasts_.Open(ledger_.folder->UploadedWeights(sha256), sha256);
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(absl::StrCat("no weights of SHA-256 ", sha256, " were uploaded"));
  }
  if (!file.ok()) return file.status();
  WeightsFile weights;
  weights.file = *std::move(file);
  weights.sha256 = weights.weights_sha256 = sha256;
  return weights;
}

absl::StatusOr<std::string> WeightsShelf::PlanUpload(int64_t byte_count,
                                                     const std::string& sha256) {
  if (sha256.size() != 64 || !CheckName("sha256", sha256, 64).ok()) {
    return absl::InvalidArgumentError("header.sha256 must be 64 hex digits");
  }
  DISTILLERY_RETURN_IF_ERROR(CheckUploadSize(byte_count, ledger_.options.max_model_bytes));
  return ledger_.folder->Incoming();
}

absl::Status WeightsShelf::CommitUpload(const std::string& path, const std::string& sha256) {
  constexpr size_t kMostUploads = 64;
  MutexLock lock(uploads_mutex_);
  LimitUploads(kMostUploads);
  return ledger_.disk.Note(RenameDurably(path, ledger_.folder->UploadedWeights(sha256)));
}

std::shared_ptr<void> WeightsShelf::Hold(const std::string& sha256) {
  MutexLock lock(uploads_mutex_);
  if (!FileExists(ledger_.folder->UploadedWeights(sha256))) return nullptr;
  held_uploads_.insert(sha256);
  return std::shared_ptr<void>(this, [this, sha256](void* /*shelf*/) {
    MutexLock again(uploads_mutex_);
    held_uploads_.erase(held_uploads_.find(sha256));
  });
}

void WeightsShelf::ForgetUploads() {
  {
    MutexLock lock(ledger_.mutex());
    // What a run that cannot be read starts from is not known.
    for (const RunEntry* const run : ledger_.run_order) {
      if (!run->damage.empty()) return;
    }
  }
  MutexLock lock(uploads_mutex_);
  LimitUploads(0);
}

void WeightsShelf::LimitUploads(size_t keep) {
  std::set<std::string> wanted(held_uploads_.begin(), held_uploads_.end());
  {
    MutexLock lock(ledger_.mutex());
    for (const RunEntry* const run : ledger_.run_order) {
      // Until W_1 is there, W_0 may have to be made anew.
      if (!Ended(run->row.state) && run->row.completed_rounds == 0) {
        wanted.insert(run->spec.student.initial_weights_sha256);
      }
    }
  }
  const absl::Status removed = ledger_.folder->RemoveUploadedWeightsExcept(wanted, keep);
  if (ledger_.disk.Note(removed).ok()) return;
  LogWarning("uploaded weights that no run needs stay for now: {}", std::string(removed.message()));
}

}  // namespace distillery
