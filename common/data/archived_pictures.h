// Pictures that lie in archives, read and decoded when they are asked for: memory holds 16 bytes
// for each, whatever their size.
//
// Threads: immutable, safe for all. Reads block on the disk.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/input_file.h"
#include "common/data/image.h"
#include "common/data/image_folder.h"
#include "common/data/record_source.h"

namespace distillery {

// Where one picture lies.
struct PicturePlace {
  int64_t offset = 0;
  // At most kMaxImageFileBytes.
  uint32_t bytes = 0;
  // Number of the archive.
  uint32_t archive = 0;
};

class ArchivedPictures : public RecordSource {
 public:
  // `names` of the archives are for messages. `shape` is that of all records.
  ArchivedPictures(std::vector<InputFile> archives, std::vector<std::string> names,
                   std::vector<PicturePlace> places, const ImageFolderOptions& options,
                   const ImageShape& shape);

  // The shape of a record made of this picture. Errors as DecodeImage and Read.
  static absl::StatusOr<ImageShape> Look(const InputFile& archive, const std::string& name,
                                         const PicturePlace& place,
                                         const ImageFolderOptions& options);

  std::string name() const override;
  int64_t count() const override { return static_cast<int64_t>(places_.size()); }
  int64_t record_bytes() const override { return shape_.size(); }
  // Errors as DecodeImage; INVALID_ARGUMENT for a picture of another size than the first one, or in
  // colour where that is grey. Messages name the archive and the picture's offset.
  absl::Status Read(int64_t record, uint8_t* output) const override;
  absl::Status Read(const RecordWish* wishes, int64_t wish_count, int64_t first_index,
                    uint8_t* output) const override;

 private:
  const std::vector<InputFile> archives_;
  const std::vector<std::string> names_;
  const std::vector<PicturePlace> places_;
  const ImageFolderOptions options_;
  const ImageShape shape_;
};

}  // namespace distillery
