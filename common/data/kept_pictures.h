// The side file that keeps the decoded pictures of a folder of many image files, so that a later
// opening decodes none and memory holds none. It is used for files of the same names, sizes and
// modification times and the same options alone.
//
// Threads: safe for all, and for several processes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/data/image.h"
#include "common/data/record_file.h"

namespace distillery {

// Fewer are decoded faster than a person notices.
inline constexpr size_t kLeastKeptPictures = 1000;

class KeptPictures {
 public:
  // The pictures as records, in their order, of a file of this stamp.
  struct Content {
    ImageShape shape;
    FileStamp stamp;
    std::shared_ptr<const RecordFile> records;
  };

  // `key` says all that the pictures of the data set in `folder` depend on.
  KeptPictures(const std::string& folder, const std::string& key);

  // What was kept, or nothing: no file, another key, another length than its start says.
  std::optional<Content> Load() const;
  // Keeps `pixels` [count, shape.size()] in the first place where that works, and opens it;
  // nothing, and a line in the log, if none does.
  std::optional<Content> Store(const ImageShape& shape, const std::vector<uint8_t>& pixels) const;

 private:
  std::string Start(const ImageShape& shape, int64_t count) const;
  std::optional<Content> Open(const std::string& path) const;

  const std::string digest_of_key_;
  const std::vector<std::string> paths_;
};

}  // namespace distillery
