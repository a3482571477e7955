// The files of a data set that cannot be read as what they are called: all are found before one
// message names them, or they are left out where the data set's options say so.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/data/left_out.h"

namespace distillery {

// Not thread-safe.
class BadFiles {
 public:
  // `folder` is the data set's; `noun` is one of its files, "image" or "sound".
  BadFiles(std::string folder, absl::string_view noun) : folder_(std::move(folder)), noun_(noun) {}

  bool empty() const { return faults_.empty(); }
  // Notes a file whose content is at fault; returns what is wrong with the system. `path` is within
  // the folder, and in place of the whole path in messages.
  absl::Status Take(const absl::Status& status, const std::string& path);
  // One message about all of them, out of `files`, with the code of the first; OK if there is none.
  absl::Status Check(size_t files) const;
  // A sentence about each.
  std::vector<LeftOut> LeftOutFiles() const;

 private:
  const std::string folder_;
  const std::string noun_;
  // By their paths.
  std::map<std::string, absl::Status> faults_;
};

// The status with the file's name in the data set in place of its path, printable whatever the name
// is; a file that is gone is DATA_LOSS, since it is no reason to look for the data set elsewhere.
absl::Status WithoutFolder(const absl::Status& status, const std::string& folder,
                           const std::string& path);

}  // namespace distillery
