// Lists the folder of a soft-target cache and clears what dead processes left in it.
//
// Only files two folders down with names that the cache gives are looked at; others are left alone,
// whoever's folder this is.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "teacher_service/cache/logit_cache_index.h"

namespace distillery {

// Makes the folder if there is none. PERMISSION_DENIED if this process may not write there.
absl::Status PrepareLogitFolder(const std::string& folder);

// The finished files. Unfinished ones whose process is gone are removed; `now` is for their age.
// Reads no content; what cannot be read is left out.
std::vector<FoundLogitFile> ScanLogitFolder(const std::string& folder, absl::Time now);

}  // namespace distillery
