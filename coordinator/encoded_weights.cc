#include "coordinator/encoded_weights.h"

#include <iterator>

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/weights/broadcast_encoding.h"

namespace distillery {

std::shared_ptr<EncodedWeights::Entry> EncodedWeights::Find(const std::string& path) {
  // The number of files that are still there; rounds come and go.
  constexpr size_t kMostKnown = 1024;
  MutexLock lock(mutex_);
  if (entries_.size() >= kMostKnown && entries_.count(path) == 0) {
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      // The others are being made at this moment.
      entry = entry->second.use_count() == 1 ? entries_.erase(entry) : std::next(entry);
    }
  }
  std::shared_ptr<Entry>& entry = entries_[path];
  if (entry == nullptr) entry = std::make_shared<Entry>();
  return entry;
}

absl::StatusOr<std::string> EncodedWeights::Make(const TensorSource& weights,
                                                 const std::vector<std::string>& buffers,
                                                 const std::string& path,
                                                 const std::string& temporary) {
  const std::shared_ptr<Entry> entry = Find(path);
  MutexLock lock(entry->mutex);
  if (!entry->sha256.empty() && FileExists(path)) return entry->sha256;
  entry->sha256.clear();
  DISTILLERY_ASSIGN_OR_RETURN(const auto file, OutputFile::Create(temporary, Readers::kOwner));
  Sha256 sha256;
  DISTILLERY_RETURN_IF_ERROR(EncodeFloat16(weights, buffers, [&](absl::string_view piece) {
    sha256.Update(piece);
    return file->Append(piece);
  }));
  // The content is not synced: whoever starts anew makes it anew.
  DISTILLERY_RETURN_IF_ERROR(file->Keep());
  DISTILLERY_RETURN_IF_ERROR(RenameDurably(temporary, path));
  entry->sha256 = sha256.HexDigest();
  return entry->sha256;
}

void EncodedWeights::Forget(const std::string& path) {
  const std::shared_ptr<Entry> entry = Find(path);
  MutexLock lock(entry->mutex);
  entry->sha256.clear();
}

}  // namespace distillery
