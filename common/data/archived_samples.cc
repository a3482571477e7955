#include "common/data/archived_samples.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/data/array_elements.h"
#include "common/data/npy.h"

namespace distillery {

absl::StatusOr<MemberForm> PictureForm(absl::string_view first, const std::string& name,
                                       const ImageFolderOptions& options) {
  DISTILLERY_ASSIGN_OR_RETURN(ImageShape shape, ReadImageShape(first, options.channels, name));
  if (options.height != 0) shape = {shape.channels, options.height, options.width};
  MemberForm form;
  form.input = SampleSpec::Pictures(shape, 255).inputs.front();
  form.decode = [shape, options](absl::string_view bytes, const std::string& of,
                                 uint8_t* output) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(Image image, DecodeSample(bytes, options, of));
    if (image.shape.height != shape.height || image.shape.width != shape.width) {
      return absl::InvalidArgumentError(
          absl::StrCat(of, " is ", image.shape.height, " x ", image.shape.width,
                       ", the first image is ", shape.height, " x ", shape.width,
                       "; to resize all, say {\"height\": H, \"width\": W} in dataset.json"));
    }
    if (image.shape.channels > shape.channels) {
      return absl::InvalidArgumentError(
          absl::StrCat(of,
                       " is in colour, the first image is grey; say {\"channels\": 1} or "
                       "{\"channels\": 3} in dataset.json"));
    }
    image = WithChannels(std::move(image), shape.channels);
    std::memcpy(output, image.pixels.data(), image.pixels.size());
    return absl::OkStatus();
  };
  return form;
}

absl::StatusOr<MemberForm> ArrayForm(absl::string_view first, const std::string& name) {
  DISTILLERY_ASSIGN_OR_RETURN(const NpyArray array, ParseNpy(first, InputTypes(), name));
  const ArrayType& type = ArrayTypeOf(array.type);
  if (type.kind == ArrayKind::kWhole && type.stored != ElementType::kUInt8) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has whole numbers, ", array.type,
                     ": of archives only arrays of floats and of bytes are read; write it with "
                     ".astype(\"float32\"), or keep tokens in NPY files"));
  }
  MemberForm form;
  form.input.name = "features";
  form.input.type = type.stored;
  form.input.shape = array.shape.empty() ? std::vector<int64_t>{1} : array.shape;
  form.decode = [npy = array.type, shape = array.shape](absl::string_view bytes,
                                                        const std::string& of,
                                                        uint8_t* output) -> absl::Status {
    DISTILLERY_ASSIGN_OR_RETURN(const NpyArray member, ParseNpy(bytes, InputTypes(), of));
    if (member.type != npy || member.shape != shape) {
      return absl::InvalidArgumentError(
          absl::StrCat(of, " is ", member.type, " [", absl::StrJoin(member.shape, ", "),
                       "], the first array is ", npy, " [", absl::StrJoin(shape, ", "),
                       "]; all arrays of a data set have one type and one shape"));
    }
    const std::optional<std::string> fault =
        StoreElements(ArrayTypeOf(npy), member.elements, output);
    if (!fault.has_value()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(of, ": ", *fault));
  };
  return form;
}

ArchivedSamples::ArchivedSamples(std::vector<InputFile> archives, std::vector<std::string> names,
                                 std::vector<MemberPlace> places, MemberForm form)
    : archives_(std::move(archives)),
      names_(std::move(names)),
      places_(std::move(places)),
      form_(std::move(form)) {}

std::string ArchivedSamples::name() const {
  return names_.size() == 1 ? names_[0]
                            : absl::StrCat(names_[0], " or the ", names_.size() - 1, " after it");
}

absl::Status ArchivedSamples::Read(int64_t record, uint8_t* output) const {
  const MemberPlace& place = places_[static_cast<size_t>(record)];
  DISTILLERY_ASSIGN_OR_RETURN(const std::string bytes, ReadMember(archives_[place.archive], place));
  return form_.decode(bytes, MemberName(names_[place.archive], place), output);
}

absl::Status ArchivedSamples::Read(const RecordWish* wishes, int64_t wish_count,
                                   int64_t first_index, uint8_t* output) const {
  for (int64_t i = 0; i < wish_count; ++i) {
    DISTILLERY_RETURN_IF_ERROR(
        Read(wishes[i].index - first_index, output + wishes[i].place * record_bytes()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadMember(const InputFile& archive, const MemberPlace& place) {
  std::string bytes(place.bytes, '\0');
  DISTILLERY_RETURN_IF_ERROR(archive.ReadAt(place.offset, place.bytes, bytes.data()));
  return bytes;
}

std::string MemberName(const std::string& archive, const MemberPlace& place) {
  return absl::StrCat(archive, ": the member at byte ", place.offset);
}

}  // namespace distillery
