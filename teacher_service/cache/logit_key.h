// The name of one shard's raw logits in the soft-target cache, and of the file that holds them.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace distillery {

// How logits are stored; the values are in files.
enum class StoredType : uint32_t { kFloat32 = 1, kFloat16 = 2 };

// All that logits are a function of. Two keys that mean the same must be spelled the same: write
// "none" for no augmentation, with seed and view 0.
struct LogitKey {
  std::string teacher_digest;
  std::string dataset_digest;
  int64_t shard = 0;
  std::string augmentation;
  int64_t seed = 0;
  int64_t view = 0;

  // All fields as printable text; unlike keys give unlike texts.
  std::string ToString() const;
  // SHA-256 of the text, in hex.
  std::string Digest() const;
};

// The file below the cache's folder: TEACHER/DATASET/shard-000012-view-000001-89abcdef.f16.logits,
// with the first 16 letters of both digests and 8 hex digits for all that the name leaves out. Safe
// whatever the key's texts hold.
std::string LogitFilePath(const LogitKey& key, StoredType type);

// Whether `name` (without folders) is one that LogitFilePath gives.
bool IsLogitFileName(absl::string_view name);

// A name for the unfinished file that becomes `path`, in the same folder; no two are equal.
std::string TemporaryLogitFilePath(const std::string& path);
bool IsTemporaryLogitFileName(absl::string_view name);

}  // namespace distillery
