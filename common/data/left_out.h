// Describes what lies in a data set's folder and is in none of its samples, so that nothing is left
// out silently.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distillery {

// One sentence about one or several files.
struct LeftOut {
  // "20 files .webp such as train/cat/1.webp", "the folder val of 12 files", "train/cat/1.png is
  // empty".
  std::string what;
  int64_t file_count = 1;
};

// The names in a folder, sorted, without those that start with '.'.
struct FolderNames {
  std::vector<std::string> folders;
  // Everything that is no folder.
  std::vector<std::string> files;
};
// NOT_FOUND, UNAVAILABLE: it cannot be read.
absl::StatusOr<FolderNames> ListFolder(const std::string& path);

// Collects files by their endings.
class LeftOutFiles {
 public:
  // `folder` is the data set's, names are within it.
  explicit LeftOutFiles(std::string folder) : folder_(std::move(folder)) {}

  void AddFile(const std::string& name);
  // With all below it; `why` follows the count in the sentence.
  void AddFolder(const std::string& name, absl::string_view why = "");
  // What lies directly in the folder `within` ("": the data set's own) and is not in `known`, whose
  // names are within the data set's folder too; with `with_folders` the folders as well. Nothing of
  // a folder that cannot be read: who reads it says why.
  void AddBeside(const std::string& within, const std::set<std::string>& known,
                 bool with_folders = true);
  // First the sentences about files, those about most files in front; then those about folders.
  std::vector<LeftOut> Finish() &&;

 private:
  struct Group {
    std::string ending;
    std::string example;
    int64_t count = 0;
  };
  const std::string folder_;
  std::vector<Group> groups_;
  std::vector<LeftOut> folders_;
};

// The files in a data set's folder except those named in `read`; with `with_folders` the folders
// too.
std::vector<LeftOut> LeftOutBeside(const std::string& folder, const std::set<std::string>& read,
                                   bool with_folders = true);

// One line with the first few of them and the number of the others. REQUIRES: there is at least
// one.
std::string JoinLeftOut(const std::vector<LeftOut>& left_out);

}  // namespace distillery
