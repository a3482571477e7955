// What a folder holds, without exceptions: the range of std::filesystem::directory_iterator throws
// where the disk fails in the midst of it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"

namespace distillery {

// Calls `visit` with each path in the folder, in no order; with none for a folder that is not
// there. Errors as ErrnoStatus: a folder that cannot be listed is not an empty one.
absl::Status ForEachIn(const std::string& folder,
                       const std::function<void(const std::filesystem::path&)>& visit);

}  // namespace distillery
