#include "common/data/archived_pictures.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/data/image_file.h"
#include "common/data/image_resize.h"

namespace distillery {
namespace {

std::string NameOf(const std::string& archive, const PicturePlace& place) {
  return absl::StrCat(archive, ": the picture at byte ", place.offset);
}

}  // namespace

ArchivedPictures::ArchivedPictures(std::vector<InputFile> archives, std::vector<std::string> names,
                                   std::vector<PicturePlace> places,
                                   const ImageFolderOptions& options, const ImageShape& shape)
    : archives_(std::move(archives)),
      names_(std::move(names)),
      places_(std::move(places)),
      options_(options),
      shape_(shape) {}

absl::StatusOr<ImageShape> ArchivedPictures::Look(const InputFile& archive, const std::string& name,
                                                  const PicturePlace& place,
                                                  const ImageFolderOptions& options) {
  std::string bytes(place.bytes, '\0');
  DISTILLERY_RETURN_IF_ERROR(archive.ReadAt(place.offset, place.bytes, bytes.data()));
  DISTILLERY_ASSIGN_OR_RETURN(ImageShape shape,
                              ReadImageShape(bytes, options.channels, NameOf(name, place)));
  if (options.height == 0) return shape;
  return ImageShape{shape.channels, options.height, options.width};
}

std::string ArchivedPictures::name() const {
  return names_.size() == 1 ? names_[0]
                            : absl::StrCat(names_[0], " or the ", names_.size() - 1, " after it");
}

absl::Status ArchivedPictures::Read(int64_t record, uint8_t* output) const {
  const PicturePlace& place = places_[record];
  const std::string& archive = names_[place.archive];
  std::string bytes(place.bytes, '\0');
  DISTILLERY_RETURN_IF_ERROR(
      archives_[place.archive].ReadAt(place.offset, place.bytes, bytes.data()));
  const std::string name = NameOf(archive, place);
  DISTILLERY_ASSIGN_OR_RETURN(Image image,
                              DecodeImage(bytes, options_.channels, name, options_.alpha));
  if (options_.height != 0) {
    DISTILLERY_ASSIGN_OR_RETURN(image, Resize(image, options_.height, options_.width));
  }
  if (image.shape.height != shape_.height || image.shape.width != shape_.width) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", image.shape.height, " x ", image.shape.width,
                     ", the first image is ", shape_.height, " x ", shape_.width,
                     "; to resize all, say {\"height\": H, \"width\": W} in dataset.json"));
  }
  if (image.shape.channels > shape_.channels) {
    return absl::InvalidArgumentError(
        absl::StrCat(name,
                     " is in colour, the first image is grey; say {\"channels\": 1} or "
                     "{\"channels\": 3} in dataset.json"));
  }
  image = WithChannels(std::move(image), shape_.channels);
  std::memcpy(output, image.pixels.data(), image.pixels.size());
  return absl::OkStatus();
}

absl::Status ArchivedPictures::Read(const RecordWish* wishes, int64_t wish_count,
                                    int64_t first_index, uint8_t* output) const {
  for (int64_t i = 0; i < wish_count; ++i) {
    DISTILLERY_RETURN_IF_ERROR(
        Read(wishes[i].index - first_index, output + wishes[i].place * record_bytes()));
  }
  return absl::OkStatus();
}

}  // namespace distillery
