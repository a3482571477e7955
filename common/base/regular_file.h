// The one way to open a file that a user named or that lies in a user's folder.
#pragma once

#include <sys/stat.h>

#include <string>

#include "absl/status/statusor.h"
#include "common/base/descriptor.h"

namespace distillery {

// Opens an existing regular file for reading, follows links, and sets `info` to what stat says of
// it. Never blocks, although opening a pipe would by itself wait for its other end.
//   INVALID_ARGUMENT     a pipe, a socket, a device, a folder, a link to nothing; says which
//   NOT_FOUND            there is nothing of that name
//   FAILED_PRECONDITION  this user may not read it
//   UNAVAILABLE          another reason of the system
// All name `path`.
absl::StatusOr<Descriptor> OpenRegularFile(const std::string& path, struct stat* info);

// Whether there is anything of that name, even a link to nothing: what OpenRegularFile refuses must
// not be taken for a file that is absent on purpose.
bool NameIsTaken(const std::string& path);
// Whether it is a folder, or a link to one.
bool IsFolder(const std::string& path);

}  // namespace distillery
