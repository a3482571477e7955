#include "coordinator/encoded_weights.h"

#include "common/base/checksum.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/weights/broadcast_encoding.h"

namespace distillery {

absl::StatusOr<std::string> EncodedWeights::Make(absl::string_view weights,
                                                 const std::vector<std::string>& buffers,
                                                 const std::string& path,
                                                 const std::string& temporary) {
  // Of files that are still there; rounds come and go.
  constexpr size_t kMostKnown = 1024;
  MutexLock lock(mutex_);
  const auto known = made_.find(path);
  if (known != made_.end() && FileExists(path)) return known->second;
  if (made_.size() >= kMostKnown) made_.clear();
  DISTILLERY_ASSIGN_OR_RETURN(const auto file, OutputFile::Create(temporary));
  Sha256 sha256;
  DISTILLERY_RETURN_IF_ERROR(EncodeFloat16(weights, buffers, [&](absl::string_view piece) {
    sha256.Update(piece);
    return file->Append(piece);
  }));
  // The content is not synced: whoever starts anew makes it anew.
  DISTILLERY_RETURN_IF_ERROR(file->Keep());
  DISTILLERY_RETURN_IF_ERROR(RenameDurably(temporary, path));
  return made_[path] = sha256.HexDigest();
}

}  // namespace distillery
